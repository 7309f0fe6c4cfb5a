"""The engine under a policy of the test's own: what is asked when, and what each answer does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from proxy.engine import upstream_queries
from proxy.engine.engine import Engine
from proxy.exchange import Caller, Ending, Fetch, Forward, Local, Outcome, Reply, Request
from proxy.limits import Limits
from tests.proxy.support.plain import KeyHolder
from tests.proxy.support.proxy import (
    KEY,
    STREAM_HEAD,
    Proxy,
    Script,
    Seen,
    Upstream,
    Wire,
    answer,
    body,
    headers,
    listening,
    read_chunks,
    read_head,
    run,
    status,
    until,
)

JSON = "Content-Type: application/json\r\n"
NAMED = Forward(needs_model=True)


@dataclass
class Recorder:
    """A policy and a ticket that note all they are asked."""

    routing: Forward | Local = field(default_factory=lambda: Forward(needs_model=False))
    admitted: Reply | None = None
    said: list[str] = field(default_factory=list)
    translation: bytes = b""
    outcomes: list[Outcome] = field(default_factory=list)
    passed: bytes = b""
    asked: bytes = b""
    request: Request | None = None

    def authenticate(self, request: Request) -> Caller | Reply:
        self.request = request
        self.said.append("authenticate")
        return KeyHolder("me")

    def route(self, request: Request, caller: Caller) -> Forward | Reply | Local:
        return self.routing

    def hold(self, request: Request, caller: Caller) -> Reply | None:
        self.said.append("hold")
        return None

    def admit(self, request: Request, caller: Caller, model: str | None) -> "Recorder | Reply":
        self.said.append(f"admit {model}")
        return self.admitted or self

    def error(self, status: int, code: str, message: str, request: Request | None) -> Reply:
        return Reply(status=status, body=code.encode())

    def instead(self, request: Request, status: int, body: bytes) -> Reply | None:
        return None

    def translate(self, request: Request, status: int, content_type: bytes, body: bytes) -> bytes:
        self.said.append(f"translate {status}")
        return self.translation or body

    def refused(self, request_id: str, client: str, status: int, why: str) -> None: ...

    def done(self, request: Request, outcome: Outcome) -> None:
        self.said.append("done")
        self.outcomes.append(outcome)

    def body(self, data: bytes, *, complete: bool) -> str:
        self.asked += data
        return "no" if b"refuse me" in self.asked else ""

    def head(self, status: int, kind: bytes) -> bytes:
        self.said.append(f"head {status}")
        return b"X-RateLimit-Remaining-Requests: 7\r\n"

    def data(self, chunk: bytes) -> None:
        self.passed += chunk

    def finish(self, outcome: Outcome) -> None:
        self.said.append("finish")


@asynccontextmanager
async def under(
    policy: Recorder, script: Script, *, reads_body: bool = True, limits: Limits | None = None
) -> AsyncIterator[tuple[Proxy, Upstream]]:
    async with listening(Upstream(script, reads_body)) as upstream:
        engine = Engine(policy, "127.0.0.1", upstream.port, limits)
        _, port = await engine.listen("127.0.0.1", 0)
        try:
            yield Proxy(port, engine, Path()), upstream
        finally:
            engine.close()
            await engine.closed(1)


def test_order_of_questions() -> None:
    """Each once; the headers of the ticket come down with the answer."""
    policy = Recorder(NAMED)

    async def situation() -> None:
        async with under(policy, answer(body=b"hello")) as (proxy, upstream):
            got = await proxy.ask("POST / HTTP/1.1", JSON, b'{"model": "m"}')

            assert headers(got)["x-ratelimit-remaining-requests"] == "7"
            assert upstream.seen[0].body == b'{"model": "m"}'

    run(situation())
    assert policy.said == ["authenticate", "admit m", "head 200", "finish", "done"]
    assert policy.passed == b"hello"
    assert (policy.outcomes[0].status, policy.outcomes[0].sent) == (200, 5)
    assert policy.outcomes[0].whole


def test_only_what_is_needed_to_find_the_model_is_held_back() -> None:
    """llama-swap has the beginning of an upload before the client has its end."""
    arrived = asyncio.Event()

    async def script(seen: Seen, wire: Wire) -> None:
        pieces = read_chunks(wire.reader)
        assert await anext(pieces) == b'{"model":"m","stream":true,"x"'
        arrived.set()
        assert b"".join([piece async for piece in pieces]) == b":12345678}"
        await answer()(seen, wire)

    async def situation() -> None:
        policy = Recorder(NAMED)
        async with under(policy, script, reads_body=False) as (proxy, upstream):
            reader, writer = await proxy.begin(head=JSON + "Content-Length: 40\r\n")
            writer.write(b'{"stream":true,')
            await asyncio.sleep(0.1)
            assert not upstream.seen
            assert policy.said == ["authenticate", "hold"]
            writer.write(b'"model":"m","x"')
            await arrived.wait()
            writer.write(b":12345678}")
            assert status(await read_head(reader)) == 200
            writer.close()

    run(situation())


def test_refused_admission_reaches_nobody() -> None:
    """The upstream has not even a connection, and the client's goes on."""
    policy = Recorder(NAMED, admitted=Reply(status=429, headers=[("Retry-After", "3")], body=b"{}"))

    async def situation() -> None:
        async with under(policy, answer()) as (proxy, upstream):
            got = await proxy.ask("POST / HTTP/1.1", JSON, b'{"model": "m"}')

            assert (status(got), headers(got)["retry-after"]) == (429, "3")
            assert upstream.connections == 0

    run(situation())
    assert policy.said == ["authenticate", "admit m", "done"]


def test_client_that_asks_first_is_told_to_send_before_the_model_is_known() -> None:
    """The body is needed to find it."""

    async def situation() -> None:
        async with under(Recorder(NAMED), answer(body=b"x")) as (proxy, upstream):
            head = JSON + "Expect: 100-continue\r\nContent-Length: 14\r\nConnection: close\r\n"
            reader, writer = await proxy.begin(head=head)
            assert status(await read_head(reader)) == 100
            writer.write(b'{"model": "m"}')
            assert status(await reader.read()) == 200
            writer.close()
            assert upstream.seen[0].body == b'{"model":"m"}'

    run(situation())


def test_connection_that_ends_while_the_client_sends_what_it_was_told_to() -> None:
    """It was kept for this request, and nothing had gone up on it: another one is made."""
    kept: list[Wire] = []

    async def script(seen: Seen, wire: Wire) -> None:
        kept.append(wire)
        await answer(body=b"x")(seen, wire)

    async def situation() -> None:
        async with under(Recorder(NAMED), script) as (proxy, upstream):
            assert status(await proxy.ask("GET /?model=m HTTP/1.1")) == 200
            head = JSON + "Expect: 100-continue\r\nContent-Length: 14\r\nConnection: close\r\n"
            reader, writer = await proxy.begin(head=head)
            assert status(await read_head(reader)) == 100
            kept[0].die()
            await asyncio.sleep(0.1)
            writer.write(b'{"model": "m"}')
            assert status(await reader.read()) == 200
            writer.close()
            assert (upstream.connections, upstream.seen[1].body) == (2, b'{"model":"m"}')

    run(situation())


@pytest.mark.parametrize(
    ("last", "whole"),
    [
        (b"data: [DONE]\n\n", True),
        (b'data: {"error": "x"}\n\n', True),
        (b'data: {"half": "an ans', False),
        (b"", False),
    ],
)
@pytest.mark.parametrize("pieces", [1, 5])
def test_stream_that_is_cut_behind_llama_swap_is_no_clean_end(
    last: bytes, whole: bool, pieces: int
) -> None:
    """llama-swap ends the chunked answer properly even if llama-server died on it. Every byte that
    came is passed; the last chunk is not."""
    ending = Ending(shapes=(b"data: ",), last=(b"[DONE]", b'"error"'))
    policy = Recorder(Forward(needs_model=False, endings=(ending,)))

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(STREAM_HEAD)
        await wire.chunk(b"data: 1\n\n")
        for start in range(0, len(last), len(last) // pieces or 1):
            await wire.chunk(last[start : start + (len(last) // pieces or 1)])
            await asyncio.sleep(0.01)
        await wire.send(b"0\r\n\r\n")

    async def situation() -> None:
        async with under(policy, script) as (proxy, _):
            got = await proxy.ask("POST / HTTP/1.1")

            assert got.endswith(b"0\r\n\r\n") is whole
            assert policy.passed == b"data: 1\n\n" + last
            assert policy.outcomes[0].whole is whole

    run(situation())


def test_trailers_of_an_answer_end_here() -> None:
    """And the connection is used again."""

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(STREAM_HEAD)
        await wire.chunk(b"a")
        await wire.send(b"0\r\nX-Trailer: 1\r\nSet-Cookie: a=b\r\n\r\n")

    async def situation() -> None:
        async with under(Recorder(), script) as (proxy, upstream):
            for _ in range(2):
                assert body(await proxy.ask()) == b"1\r\na\r\n0\r\n\r\n"
            assert upstream.connections == 1

    run(situation())


def test_trailers_of_a_request_are_no_headers_of_the_next() -> None:
    """The connection ends instead (see http/test_request_parser.py)."""

    async def situation() -> None:
        async with under(Recorder(), answer(body=b"x")) as (proxy, upstream):
            chunked = "Transfer-Encoding: chunked\r\n"
            reader, writer = await proxy.begin(head=chunked)
            writer.write(b"1\r\na\r\n0\r\nX-Admin: yes\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n")
            got = await reader.read()
            writer.close()

            assert got.count(b"HTTP/1.1") == 1
            assert headers(got)["connection"] == "close"
            assert len(upstream.seen) == 1

    run(situation())


@pytest.mark.parametrize(("method", "wanted"), [("GET", 200), ("POST", 502)])
def test_connection_that_dies_as_it_is_used_again(method: str, wanted: int) -> None:
    """A second try, once, if it can do no harm."""

    async def script(seen: Seen, wire: Wire) -> None:
        if "/second" in seen.line and len(upstream_seen) == 2:
            wire.die()
        else:
            await answer()(seen, wire)

    upstream_seen: list[Seen] = []

    async def situation() -> None:
        async with under(Recorder(), script) as (proxy, upstream):
            upstream.seen = upstream_seen
            assert status(await proxy.ask("GET /first HTTP/1.1")) == 200
            assert status(await proxy.ask(f"{method} /second HTTP/1.1")) == wanted

    run(situation())


def test_request_can_be_broken_off_at_any_time() -> None:
    """As when its key is revoked: before the first token, and among them."""
    policy = Recorder()
    stopped = 0

    async def script(seen: Seen, wire: Wire) -> None:
        nonlocal stopped
        if "/begun" in seen.line:
            await wire.send(STREAM_HEAD)
            await wire.chunk(b"data: 1\n\n")
        await wire.closed_by_peer()
        stopped += 1

    async def situation() -> None:
        async with under(policy, script) as (proxy, upstream):
            for number, path in enumerate(("/waiting", "/begun"), start=1):
                reader, writer = await proxy.begin(f"GET {path} HTTP/1.1")
                await until(lambda number=number: len(upstream.seen) == number)
                await asyncio.sleep(0.05)
                assert policy.request
                policy.request.abort("broken off: key revoked")
                policy.request.abort("a second time")
                assert not (await reader.read()).endswith(b"0\r\n\r\n")
                writer.close()
                await until(lambda number=number: stopped == number)

    run(situation())
    assert [outcome.how for outcome in policy.outcomes] == ["broken off: key revoked"] * 2


def test_handler_answers_with_the_body_and_what_it_fetches() -> None:
    """Its own request to llama-swap holds none of the client's headers."""

    async def handler(request: Request, body: bytes, fetch: Fetch) -> Reply:
        models = await fetch("/v1/models")
        return Reply(status=models.status, body=body + models.body)

    async def situation() -> None:
        async with under(Recorder(Local(handler)), answer(body=b" world")) as (proxy, upstream):
            got = await proxy.ask("POST /own HTTP/1.1", body=b"hello")

            assert (status(got), body(got)) == (200, b"hello world")
            assert upstream.seen[0].line == "GET /v1/models HTTP/1.1"
            assert KEY not in repr(upstream.seen)

    run(situation())


def test_handler_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """llama-swap takes the question, and says nothing."""
    monkeypatch.setattr(upstream_queries, "FETCH_SECONDS", 0.1)
    stopped = asyncio.Event()

    async def script(_: Seen, wire: Wire) -> None:
        await wire.closed_by_peer()
        stopped.set()

    async def handler(request: Request, body: bytes, fetch: Fetch) -> Reply:
        return await fetch("/health")

    async def situation() -> None:
        async with under(Recorder(Local(handler)), script) as (proxy, _):
            assert status(await proxy.ask()) == 502
            await asyncio.wait_for(stopped.wait(), 1)

    run(situation())


def test_handler_that_fails_is_a_500_and_a_large_body_a_413() -> None:
    """Neither says more than that."""

    async def handler(request: Request, body: bytes, fetch: Fetch) -> Reply:
        raise ValueError("secret")

    async def situation() -> None:
        async with under(Recorder(Local(handler)), answer()) as (proxy, _):
            got = await proxy.ask("POST /own HTTP/1.1", body=b"hello")
            assert (status(got), body(got)) == (500, b"internal_error")
            got = await proxy.ask("POST /own HTTP/1.1", body=b"x" * 70000)
            assert (status(got), body(got)) == (413, b"body_too_large")

    run(situation())


def test_bug_in_the_policy_is_a_500() -> None:
    """And not a connection that hangs."""

    class Broken(Recorder):
        def admit(self, request: Request, caller: Caller, model: str | None) -> Reply:
            raise ZeroDivisionError

    async def situation() -> None:
        async with under(Broken(), answer()) as (proxy, upstream):
            got = await proxy.ask("POST / HTTP/1.1", JSON, b'{"model": "m"}')

            assert (status(got), body(got)) == (500, b"internal_error")
            assert upstream.connections == 0

    run(situation())


@pytest.mark.parametrize("where", ["head", "data", "finish", "done", "translate"])
@pytest.mark.parametrize("code", ["200 OK", "500 Whatever"])
def test_bug_in_the_books_ends_the_request_and_nothing_else(where: str, code: str) -> None:
    """A whole answer, or none that looks so; and nothing is left open."""
    policy = Recorder()

    def fail(*_: object) -> bytes:
        raise ZeroDivisionError

    setattr(policy, where, fail)

    async def situation() -> None:
        async with under(policy, answer(JSON, b'{"a": 1}', code)) as (proxy, _):
            for _ in range(2):
                async with asyncio.timeout(3):
                    got = await proxy.ask("POST / HTTP/1.1", JSON, b'{"model": "m"}')
                whole = got.endswith(b'{"a": 1}')
                assert whole or not got or status(got) == 502
                assert whole or where not in ("finish", "done")
            await until(lambda: not proxy.engine.clients)

    run(situation())


def test_ticket_sees_content_without_framing() -> None:
    """However llama-swap cuts it."""
    policy = Recorder()
    text = b"data: {}\n\n" * 50

    async def script(_: Seen, wire: Wire) -> None:
        framed = b"".join(b"7\r\n%b\r\n" % text[at : at + 7] for at in range(0, 497, 7))
        framed += b"3\r\n%b\r\n0\r\n\r\n" % text[497:]
        for at in range(0, len(framed), 11):
            await wire.send((STREAM_HEAD if at == 0 else b"") + framed[at : at + 11])
            await asyncio.sleep(0)

    async def situation() -> None:
        async with under(policy, script) as (proxy, _):
            reader, writer = await proxy.begin()
            await read_head(reader)
            got = b"".join([chunk async for chunk in read_chunks(reader)])
            writer.close()

            assert got == policy.passed == text

    run(situation())


def test_while_nobody_is_connected_the_clock_goes_slowly() -> None:
    """Whoever comes finds it right, and has deadlines that are looked at as ever."""
    limits = Limits(clock_seconds=0.02, idle_clock_seconds=60)
    ticks = 0

    async def situation() -> None:
        nonlocal ticks
        async with under(Recorder(NAMED), answer(body=b"hello"), limits=limits) as (proxy, _):
            engine = proxy.engine
            tick = engine.pool.tick

            def counted(now: float) -> None:
                nonlocal ticks
                ticks += 1
                tick(now)

            engine.pool.tick = counted  # type: ignore[method-assign]
            await asyncio.sleep(0.3)
            asleep, before = ticks, engine.now
            _, writer = await proxy.begin()
            await asyncio.sleep(0.3)
            assert asleep <= 1
            assert ticks - asleep > 5
            assert engine.now - before > 0.2
            writer.close()

    run(situation())
