"""Bodies as the proxy reads them, without sockets."""

from multidict import CIMultiDict

from proxy.body.named_model import form_of
from proxy.http.refusal import Refused
from proxy.limits import Limits

INF = float("inf")
JSON = "application/json"
FORM = "multipart/form-data; boundary=B"


def read(
    kind: str | None, body: bytes, step: int = 1000, limit: int = 2**20, **more: str
) -> tuple[str, bytes]:
    """The model that is decided on, and what goes up. Raises Refused."""
    headers = CIMultiDict({name.replace("_", "-"): value for name, value in more.items()})
    if kind is not None:
        headers["Content-Type"] = kind
    walker = (form := form_of(headers, Limits(model_bytes=limit, decoded_bytes=2**20))).walker
    passed = bytearray()
    for at in range(0, max(1, len(body)), step):
        walker.feed(body[at : at + step], at + step >= len(body))
        try:
            assert walker.go_on(INF)
        except Refused as refused:
            raise form.refusal(refused) from None
        if walker.body.model is not None:
            passed += walker.body.passed.take(2**30)
    assert walker.over
    assert walker.body.model
    return walker.body.model, bytes(passed)


def needed(body: bytes, kind: str = JSON, step: int = 10) -> tuple[str | None, int]:
    """The model, and how much of the body had to come for it."""
    walker = form_of(CIMultiDict({"Content-Type": kind}), Limits()).walker
    for at in range(0, len(body), step):
        walker.feed(body[at : at + step], at + step >= len(body))
        walker.go_on(INF)
        if walker.body.model is not None:
            return walker.body.model, min(at + step, len(body))
    return None, len(body)


def form(*parts: tuple[str, bytes], end: bytes = b"--\r\n") -> bytes:
    """A form with the boundary B."""
    fields = [b"--B\r\n" + head.encode() + b"\r\n\r\n" + text + b"\r\n" for head, text in parts]
    return b"".join(fields) + b"--B" + end
