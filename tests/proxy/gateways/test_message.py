"""A question and its answer have one form; nothing else is read."""

import json

import pytest

from proxy.gateways import message
from proxy.gateways.message import Answer
from proxy.keys.shared_limits import Since, Told

EPOCH = "0123456789abcdef"
GOOD = [1, 40, -3, 20786, 51000, 2.5, 800]


def body(**changed: object) -> bytes:
    return json.dumps({"epoch": EPOCH, "at": 7, "limits": {"anna": GOOD}, **changed}).encode()


def test_what_is_written_is_read() -> None:
    told = {"anna": Told(1, 40, -3, 20786, 51000, 2.5, 800.0), "bob": Told(0, 0, 0, 0, 0, 0, 0)}
    answer = Answer(Since(EPOCH, 7), told)

    assert message.read(message.write(answer)) == answer
    assert message.read(body()).told["anna"] == told["anna"]


def test_a_question_is_read_as_it_is_asked() -> None:
    for since in (None, Since(EPOCH, 0), Since(EPOCH, 1234567890123456)):
        target = message.target(since)
        path, _, query = target.partition("?")
        assert path == message.PATH
        assert message.since(query) == since


@pytest.mark.parametrize(
    "query",
    ["after=", "after", f"after={EPOCH}", f"after={EPOCH}.", f"after={EPOCH}.01",
     f"after={EPOCH}.-1", f"after={EPOCH.upper()}.1", f"after={EPOCH}.1&after={EPOCH}.2",
     f"after={EPOCH}.1&x=", f"after={EPOCH}.\u0661", f"after={EPOCH}.{'9' * 17}", " "],
)  # fmt: skip
def test_another_question_is_none(query: str) -> None:
    with pytest.raises(ValueError, match="not after="):
        message.since(query)


@pytest.mark.parametrize(
    "wrong",
    [
        b"", b"null", b"[]", b"\xff", b"{}", b"[" * 100_000, body()[:-1], body() + b"x",
        body(more=1), body(epoch="x"), body(epoch=EPOCH + "0"), body(epoch=None),
        body(at=-1), body(at=7.0), body(at=True), body(at="7"), body(at=2**53 + 1),
        body(limits=[]), body(limits=None), body(limits={"anna": {}}),
        body().replace(b'"at": 7', b'"at": 7, "at": 8'),
        body().replace(b'{"anna"', b'{"anna": [], "anna"'),
        body().replace(b"7,", b"0x7,"),
        *(body(limits={"anna": [*GOOD[:at], wrong, *GOOD[at + 1 :]]})
          for at in range(7)
          for wrong in (None, "1", True, [], float("nan"), float("inf"), 2**54, -(2**54), 10**400)),
        *(body(limits={"anna": [*GOOD[:at], 1.0, *GOOD[at + 1 :]]}) for at in range(5)),
        body(limits={"anna": GOOD[:-1]}), body(limits={"anna": [*GOOD, 0]}),
        body(limits={"anna": [-1, *GOOD[1:]]}), body(limits={"anna": [*GOOD[:-1], -0.5]}),
    ],
)  # fmt: skip
def test_another_answer_is_none(wrong: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever is said of it
        message.read(wrong)
