"""Thousands of requests, whole and tampered with, over sockets: nothing gets past the key check,
nothing is read in two ways, nothing is told that is nobody's business, and nothing breaks.

The judge of each case is a parser of its own (support/strict.py): what reached the upstream must be
what it finds in the bytes that the client sent, request by request and byte by byte.
A failure prints `@reproduce_failure(...)`, which repeats its case when put above the inner test.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.proxy.support.attack import KEYS, broken, nonsense, whole
from tests.proxy.support.ground import Case, Ground, echo, ground
from tests.proxy.support.strict import Message, requests

CREDENTIAL = re.compile(
    rb"(?mi)^(?:authorization|x-api-key|cookie|proxy-authorization):[^\r\n]*\r\n"
)
NEVER = {
    "authorization", "x-api-key", "cookie", "connection", "keep-alive", "te", "trailer", "upgrade",
    "proxy-authorization", "expect", "forwarded",
}  # fmt: skip
GOOD = (
    f"POST /completion HTTP/1.1\r\nHost: x\r\nX-Api-Key: {KEYS[0]}\r\n"
    "Content-Type: application/json\r\nContent-Length: 15\r\n\r\n"
    '{"model": "m1"}'
).encode()  # fmt: skip


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with ground(tmp_path_factory.mktemp("ground")) as made:
        yield made


def has_key(message: Message) -> bool:
    """Whether all credentials of a request are one key."""
    found = [part.strip() for value in message.all("x-api-key") for part in value.split(",")]
    for value in message.all("authorization"):
        for part in value.split(","):
            scheme, _, secret = part.strip().partition(" ")
            found.append(secret.strip() if scheme.lower() == "bearer" else "")
    return len(set(found)) == 1 and found[0] in KEYS


def passing(message: Message) -> list[tuple[str, str]]:
    """The headers that must arrive as they are."""
    named = {
        name.strip().lower() for value in message.all("Connection") for name in value.split(",")
    }
    return [
        (name, value) for name, value in message.headers
        if name.lower().startswith("x-") and name.lower() not in named
        and not name.lower().startswith(("x-forwarded", "x-api-key", "x-real-ip"))
    ]  # fmt: skip


def same(one: Message, other: Message) -> bool:
    """Whether it is the same request, above and below."""
    return (one.start, content(one), passing(one)) == (other.start, content(other), passing(other))


def content(message: Message) -> object:
    """What a body says, for its spelling may change where a model is read from it."""
    if message.start.startswith(("GET", "HEAD")) and "model=" in message.start:
        assert not message.body
    if not message.start.startswith("POST") or "upstream" in message.start:
        return message.body
    try:
        return sorted(json.loads(message.body).items())
    except ValueError:
        return form(message) or message.body


def form(message: Message) -> list[tuple[bytes, bytes]]:
    """Names and contents of a form, up to its closing delimiter (RFC 2046 5.1.1); names of
    parameters are alike in capitals (RFC 2045 5.1)."""
    boundary = re.search(r'(?i)boundary="?([^\s";]+)', "".join(message.all("Content-Type")))
    if boundary is None:
        return []
    found = []
    for piece in (b"\r\n" + message.body).split(b"\r\n--" + boundary[1].encode())[1:]:
        if piece.startswith(b"--"):
            break
        head, _, inside = piece.partition(b"\r\n\r\n")
        name = re.search(rb'(?i);\s*name\s*=\s*("?)([^";]*)\1', head)
        found.append((name[2] if name else head, inside))
    return sorted(found)


def judge(case: Case) -> None:
    """What holds whatever was sent."""
    assert not case.complaints
    answers, sent = case.answers, requests(case.sent)
    assert answers.fault is None
    assert not answers.rest, "half an answer"
    said = [message.all("X-Request-Id")[0] for message in answers.messages]
    answered = [request.id for request, outcome in case.over if outcome.how != "cancelled"]
    assert said[: len(answered)] == answered
    assert len(said) <= len(answered) + 1, "a head that is none has one answer, the last"
    assert len(said) == len(answered) or case.closed

    # Each request that arrived was sent so, with a key, and no other is between or behind them.
    due = iter([message for message in sent.messages if has_key(message)])
    for message in case.arrived:
        assert any(same(message, mate) for mate in due), f"nobody sent {message}"
        assert not {name.lower() for name, _ in message.headers} & NEVER
    finished = [r for r, outcome in case.over if r in case.admitted and outcome.status == 200]
    assert [m.start for m in case.arrived] == [f"{r.method} {latin(r.target)}" for r in finished]
    replies = dict(zip(answered, answers.messages, strict=False))
    for request, message in zip(finished, case.arrived, strict=True):
        reply = b"" if request.method == "HEAD" else echo(message.start, message.body)
        assert replies[request.id].body == reply, "another one's answer"
    for reading in case.upstream:
        assert reading.fault is None
        assert not reading.rest or reading.begun or not case.closed

    told = [message.raw_head for reading in case.upstream for message in reading.messages]
    told += [reading.begun.raw_head for reading in case.upstream if reading.begun]
    for key in KEYS:
        if key.encode() not in CREDENTIAL.sub(b"", case.sent):
            assert key.encode() not in b"".join(told) + case.got
        assert key not in case.logged or key.encode() in CREDENTIAL.sub(b"", case.sent)


def latin(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def attack(here: Ground, cases: st.SearchStrategy[Sequence[bytes]], number: int) -> Counter[str]:
    """So many cases, each judged and followed by a good request; what happened how often."""
    tally: Counter[str] = Counter()

    @settings(max_examples=number, derandomize=True, print_blob=True, deadline=None, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(cases)
    def one(pieces: Sequence[bytes]) -> None:
        case = here.attack(*pieces)
        judge(case)
        assert here.attack(GOOD).statuses == [200], "it serves no more"
        tally["cases"] += 1
        tally["arrived"] += len(case.arrived)
        tally.update(str(status) for status in case.statuses)

    one()
    return tally


@pytest.mark.parametrize(
    "number", [250, pytest.param(4000, marks=pytest.mark.soak)], ids=["some", "many"]
)
def test_whole_requests(here: Ground, number: int) -> None:
    """Of every kind, some without a right, pipelined and in pieces."""
    tally = attack(here, whole, number)

    # That it is no walk through refusals alone; which cases are made depends on the code, too.
    assert tally["arrived"] > number / 10
    assert all(tally[status] for status in ("200", "400", "401", "404", "405"))


@pytest.mark.parametrize(
    "number", [400, pytest.param(6000, marks=pytest.mark.soak)], ids=["some", "many"]
)
def test_tampered_requests(here: Ground, number: int) -> None:
    """Cut, doubled, with line ends, framing and whole requests put in anywhere."""
    tally = attack(here, broken, number)

    assert tally["arrived"] > number / 50
    assert tally["400"] > number / 50


@pytest.mark.parametrize(
    "number", [100, pytest.param(1000, marks=pytest.mark.soak)], ids=["some", "much"]
)
def test_nonsense(here: Ground, number: int) -> None:
    """Nobody is let in by it."""
    tally = attack(here, nonsense, number)

    assert tally["arrived"] == 0
    assert tally["400"] > number / 12
