"""HEAD: the head that GET would get, no body, and a log that says so."""

from pathlib import Path

import pytest

from proxy.accounting.access_log import Line
from tests.proxy.support.policy import ANNA, ROOT
from tests.proxy.support.proxy import Seen, Wire, answer, body, headers, run, status
from tests.proxy.support.stack import Stack, ask_raw, stack

LISTED = b'{"object":"list","data":[{"id":"gpt-oss","object":"model"}]}'
JSON = "Content-Type: application/json\r\n"


async def both(proxy: Stack, path: str, key: str) -> tuple[bytes, bytes]:
    """The answers to GET and to HEAD, to the end of the connection."""
    shown = f"Authorization: Bearer {key}\r\n" if key else ""
    lines = f"{path} HTTP/1.1\r\nHost: mac.example\r\n{shown}Connection: close\r\n\r\n"
    return await ask_raw(proxy, f"GET {lines}"), await ask_raw(proxy, f"HEAD {lines}")


@pytest.mark.parametrize(
    ("path", "key", "code"),
    [
        ("/", "", 401), ("/", ANNA, 404), ("/", ROOT, 200), ("/v1/models", "", 401),
        ("/v1/models", ANNA, 200), ("/v1/models/gpt-oss", ANNA, 200), ("/v1/models/x", ANNA, 404),
        ("/healthz", "", 200), ("/readyz", "", 200), ("/login", "", 200), ("/metrics", ANNA, 404),
        ("/props", ANNA, 404), ("/props?model=gpt-oss", ANNA, 200), ("/v1//models", ANNA, 404),
        ("/nowhere", ANNA, 404), ("/nowhere", "sk-wrong-0123456789", 401), ("/ui/x", ROOT, 200),
        ("/v1/../unload", ROOT, 400),
    ],
)  # fmt: skip
def test_head_is_answered_as_get_without_a_body(
    tmp_path: Path, path: str, key: str, code: int
) -> None:
    """RFC 9110 9.3.2; the length is that of GET's answer."""
    lines: list[Line] = []

    async def script(seen: Seen, wire: Wire) -> None:
        if seen.line.startswith("HEAD"):
            await wire.send(
                f"HTTP/1.1 200 OK\r\n{JSON}Content-Length: {len(LISTED)}\r\n\r\n".encode()
            )
        else:
            await answer(JSON, LISTED)(seen, wire)

    async def situation() -> None:
        async with stack(tmp_path, script) as proxy:
            got, head = await both(proxy, path, key)
            assert status(got) == status(head) == code
            assert head.endswith(b"\r\n\r\n")
            assert body(head) == b""
            assert int(headers(head)["content-length"]) == len(body(got)) > 0
            lines.extend(proxy.lines)

    run(situation())
    sent = {(line.method, line.sent) for line in lines}
    assert ("HEAD", 0) in sent
    assert ("GET", 0) not in sent


@pytest.mark.parametrize(
    ("more", "code"),
    [("X: " + "a" * 9000, 431), ("X: a\r\n" * 130, 431), ("Upgrade: websocket", 426),
     ("no header", 400), ("Content-Length: -1", 400)],
)  # fmt: skip
def test_refusals_of_a_head_have_no_body_either(tmp_path: Path, more: str, code: int) -> None:
    """Also where the rest of the request could not be read."""

    async def situation() -> None:
        async with stack(tmp_path, answer()) as proxy:
            key = f"Host: x\r\nAuthorization: Bearer {ANNA}\r\nConnection: close"
            got = await ask_raw(proxy, f"HEAD /v1/models HTTP/1.1\r\n{key}\r\n{more}\r\n\r\n")
            assert status(got) == code
            assert body(got) == b""
            assert int(headers(got)["content-length"]) > 0

    run(situation())
