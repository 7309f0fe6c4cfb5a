"""Many connections at once: who has to make room, who is told so, and who goes on."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from proxy.engine.client_address import source_of
from proxy.engine.connection_shares import KNOWN_SECONDS, ConnectionShares
from proxy.engine.engine import MOST_REFUSED
from proxy.limits import Limits
from tests.proxy.support.proxy import (
    KEY,
    Proxy,
    Seen,
    Upstream,
    Wire,
    answer,
    error,
    headers,
    listening,
    proxy_to,
    read_head,
    run,
    status,
    until,
)
from tests.proxy.support.tls import secured

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Test = Callable[[Proxy], Awaitable[None]]
WITH_KEY = f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
BEGUN = b"GET / HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n"  # 37 bytes of a head


async def held(_: Seen, wire: Wire) -> None:
    """An answer that does not come."""
    await wire.closed_by_peer()


def tried(test: Test, limits: Limits, script: Callable[[Seen, Wire], Awaitable[None]]) -> None:
    async def situation() -> None:
        async with (
            listening(Upstream(script)) as upstream,
            proxy_to(upstream.port, limits=limits) as proxy,
        ):
            await test(proxy)

    run(situation())


async def ended(streams: Streams, seconds: float = 2) -> bytes:
    """All that comes until the end."""
    try:
        async with asyncio.timeout(seconds):
            return await streams[0].read()
    except ConnectionError:
        return b""


def is_open(streams: Streams) -> bool:
    return not (streams[0].at_eof() or streams[1].is_closing() or streams[0].exception())


async def use(streams: Streams) -> int:
    """One request with a good key, and its status."""
    streams[1].write(WITH_KEY)
    head = await read_head(streams[0])
    await streams[0].readexactly(int(headers(head)["content-length"]))
    return status(head)


# -- By one address


@pytest.mark.parametrize(
    "sent", [b"", BEGUN, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"]
)
def test_oldest_stranger_of_an_address_makes_room(sent: bytes) -> None:
    """Whether it is idle, in its head, or in a body that was refused; the newest gets in."""

    async def test(proxy: Proxy) -> None:
        strangers = []
        for number in range(4):
            strangers.append(await proxy.connect())
            strangers[-1][1].write(sent)
            await until(lambda n=number: len(proxy.engine.clients) == n + 1)
            await asyncio.sleep(0.02)
        assert status(await proxy.ask()) == 200
        got = await ended(strangers[0])
        assert got == b"" or status(got) == (503 if sent == BEGUN else 401)
        if sent == BEGUN:
            assert error(got)["code"] == "too_many_connections"
            assert headers(got)["retry-after"]
        assert all(is_open(stranger) for stranger in strangers[1:])
        for _, writer in strangers:
            writer.close()

    tried(test, Limits(share=4), answer())


def test_connections_with_a_good_key_are_not_of_the_share() -> None:
    """A gateway has hundreds of them at one address; they stay while they are idle."""

    async def test(proxy: Proxy) -> None:
        known = []
        for _ in range(20):
            known.append(await proxy.connect())
            assert await use(known[-1]) == 200
        strangers = [await proxy.connect() for _ in range(20)]
        await until(lambda: len(proxy.engine.clients) == 40)
        assert [await use(streams) for streams in known] == [200] * 20
        for _, writer in [*known, *strangers]:
            writer.close()

    tried(test, Limits(share=4), answer(body=b"x"))


def test_all_clients_of_a_gateway_may_come_at_once() -> None:
    """Where a good key came from lately, there is no share: none had time for its own yet."""

    async def test(proxy: Proxy) -> None:
        assert status(await proxy.ask()) == 200
        await until(lambda: not proxy.engine.clients)
        crowd = [await proxy.connect() for _ in range(40)]
        await until(lambda: len(proxy.engine.clients) == 40)
        assert await asyncio.gather(*(use(streams) for streams in crowd)) == [200] * 40
        for _, writer in crowd:
            writer.close()

    tried(test, Limits(share=4), answer(body=b"x"))


def test_wrong_key_makes_nobody_known() -> None:
    """Nor does a route that is open."""

    async def test(proxy: Proxy) -> None:
        wrong, open_ = await proxy.connect(), await proxy.connect()
        wrong[1].write(WITH_KEY.replace(KEY.encode(), b"sk-herd-not-the-key-of-these"))
        assert status(await read_head(wrong[0])) == 401
        open_[1].write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status(await read_head(open_[0])) == 200
        others = [await proxy.connect() for _ in range(2)]
        await asyncio.gather(ended(wrong), ended(open_))
        for _, writer in [wrong, open_, *others]:
            writer.close()

    tried(test, Limits(share=2), answer())


# -- By all of them


def test_one_connection_too_many_is_told_so() -> None:
    """When all others are at work, they go on."""

    async def test(proxy: Proxy) -> None:
        first, second = await proxy.begin("GET / HTTP/1.1"), await proxy.begin("GET / HTTP/1.1")
        await until(lambda: len(proxy.engine.pool._connecting) + len(working(proxy)) >= 2)
        got = await ended(await proxy.connect())
        assert status(got) == 503
        assert error(got)["code"] == "too_many_connections"
        assert headers(got)["retry-after"]
        assert is_open(second)
        first[1].close()
        await until(lambda: len(working(proxy)) == 1)
        third = await proxy.begin("GET / HTTP/1.1")
        await until(lambda: len(working(proxy)) == 2)
        for _, writer in (second, third):
            writer.close()

    tried(test, Limits(connections=2), held)


def test_more_connections_than_can_be_told_so_are_just_ended() -> None:
    """Those that are told stay for a while, to read it."""

    async def test(proxy: Proxy) -> None:
        first = await proxy.begin("GET / HTTP/1.1")
        await until(lambda: len(working(proxy)) == 1)
        more = [await proxy.connect() for _ in range(MOST_REFUSED + 5)]
        got = [await ended(streams) for streams in more]
        for _, writer in [first, *more]:
            writer.close()
        assert [status(said) if said else 0 for said in got] == [503] * MOST_REFUSED + [0] * 5

    tried(test, Limits(connections=1), held)


def test_idle_connection_with_a_key_makes_room_when_there_is_no_stranger() -> None:
    """Somebody who has a key and opens all of them keeps out nobody either."""

    async def test(proxy: Proxy) -> None:
        known = [await proxy.connect() for _ in range(5)]
        assert [await use(streams) for streams in known] == [200] * 5
        assert status(await proxy.ask()) == 200
        assert await ended(known[0]) == b""
        assert [await use(streams) for streams in known[1:]] == [200] * 4
        for _, writer in known:
            writer.close()

    tried(test, Limits(connections=5), answer(body=b"x"))


def test_body_that_is_not_whole_makes_room_too() -> None:
    """Nobody works for it, whoever sends it: a key and 4,096 of them would keep out all others."""

    async def test(proxy: Proxy) -> None:
        line = "POST /v1/chat/completions HTTP/1.1"
        known = [await proxy.begin(line, head="Content-Length: 99\r\n") for _ in range(5)]
        await until(lambda: len(proxy.engine.crowd._known.get("127.0.0.1", ())) == 5)
        assert status(await proxy.ask()) == 200
        assert await ended(known[0]) == b""
        assert all(is_open(streams) for streams in known[1:])
        for _, writer in known:
            writer.close()

    tried(test, Limits(connections=5), answer(body=b"x"))


# -- Before TLS


@asynccontextmanager
async def silent(port: int, count: int, sent: bytes = b"") -> AsyncIterator[list[Streams]]:
    """Connections without a handshake."""
    found = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
    for _, writer in found:
        writer.write(sent)
    yield found
    for _, writer in found:
        writer.close()


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01\x00"])
def test_handshake_that_is_never_finished_is_counted_and_not_waited_for(
    tmp_path: Path, sent: bytes
) -> None:
    """Whether nothing comes, or half of a hello."""

    async def situation() -> None:
        limits = Limits(handshake_seconds=0.4, clock_seconds=0.05)
        async with secured(tmp_path, answer(), limits) as (proxy, _):
            async with silent(proxy.port, 3, sent) as waiting:
                await until(lambda: len(proxy.engine.clients) == 3)
                for streams in waiting:
                    assert len(await ended(streams)) < 10  # an alert
            await until(lambda: not proxy.engine.clients)
            assert status(await proxy.ask()) == 200

    run(situation())


def test_oldest_handshake_makes_room(tmp_path: Path) -> None:
    """Both within a share and in all; its descriptor is free at once."""

    async def situation() -> None:
        async with (
            secured(tmp_path, answer(), Limits(share=3, strangers=3)) as (proxy, _),
            silent(proxy.port, 3) as waiting,
        ):
            await until(lambda: len(proxy.engine.clients) == 3)
            assert status(await proxy.ask()) == 200
            assert await ended(waiting[0]) == b""
            assert is_open(waiting[2])
            await until(lambda: len(proxy.engine.clients) == 2)

    run(situation())


def test_good_clients_are_served_behind_many_silent_ones(tmp_path: Path) -> None:
    """From the same address, and over TLS."""

    async def situation() -> None:
        async with (
            secured(tmp_path, answer(), Limits(share=20)) as (proxy, _),
            silent(proxy.port, 300),
        ):
            await until(lambda: proxy.engine.clients)
            started = time.monotonic()
            assert status(await proxy.ask()) == 200
            assert time.monotonic() - started < 1
            assert len(proxy.engine.clients) <= 25

    run(situation())


def test_no_room_before_tls_is_no_handshake(tmp_path: Path) -> None:
    """Nothing could be said without one."""

    async def situation() -> None:
        async with secured(tmp_path, held, Limits(connections=1)) as (proxy, _):
            _, writer = await proxy.begin("GET / HTTP/1.1")
            await until(lambda: len(working(proxy)) == 1)
            with pytest.raises((ConnectionError, ssl.SSLError)):
                await proxy.connect()
            writer.close()

    run(situation())


# -- Time


SHORT = Limits(stranger_seconds=0.4, clock_seconds=0.05)


async def lasts(proxy: Proxy, send: Callable[[Streams], Awaitable[None]]) -> tuple[float, bytes]:
    """How long a client lasts that goes on sending, and what it is told."""
    streams = await proxy.connect()
    started = time.monotonic()

    async def go_on() -> None:
        while True:
            await send(streams)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(go_on())
    got = await ended(streams, 5)
    task.cancel()
    streams[1].close()
    return time.monotonic() - started, got


@pytest.mark.parametrize(
    ("first", "then", "told"),
    [
        (b"", b"", 0),
        (b"GET / HTTP/1.1\r\nX-A: ", b"a", 408),
        (b"", b"\r\n", 408),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n", b"a", 401),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n", 401),
    ],
    ids=["nothing", "head", "empty lines", "body", "chunks"],
)
def test_patience_with_strangers_is_short(first: bytes, then: bytes, told: int) -> None:
    """Whatever they send slowly."""

    async def test(proxy: Proxy) -> None:
        parts = iter([first])

        async def send(streams: Streams) -> None:
            streams[1].write(next(parts, then))

        seconds, got = await lasts(proxy, send)
        assert seconds < 3
        assert (status(got) if got else 0) == told

    tried(test, SHORT, answer())


def test_stranger_that_takes_its_answers_slowly_is_let_go() -> None:
    """Byte by byte there is always progress."""

    async def test(proxy: Proxy) -> None:
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(("127.0.0.1", proxy.port))
            slow.setblocking(False)
            loop = asyncio.get_running_loop()
            flood = asyncio.create_task(
                loop.sock_sendall(slow, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 40_000)
            )
            await until(lambda: full(proxy))
            reading = asyncio.create_task(drop_by_drop(slow))
            await until(lambda: not proxy.engine.clients, 9)
            flood.cancel()
            reading.cancel()

    async def drop_by_drop(slow: socket.socket) -> None:
        while True:
            await asyncio.get_running_loop().sock_recv(slow, 1)
            await asyncio.sleep(0.02)

    def full(proxy: Proxy) -> bool:
        found = [client.transport for client in proxy.engine.clients]  # type: ignore[attr-defined]
        return any(transport.get_write_buffer_size() for transport in found)

    tried(test, Limits(stranger_seconds=2, clock_seconds=0.05), answer())


def test_client_with_a_key_has_its_patience() -> None:
    """Idle, and in its next head."""

    async def test(proxy: Proxy) -> None:
        streams = await proxy.connect()
        assert await use(streams) == 200
        await asyncio.sleep(1)
        streams[1].write(WITH_KEY[:20])
        await asyncio.sleep(1)
        streams[1].write(WITH_KEY[20:])
        assert status(await read_head(streams[0])) == 200
        streams[1].close()

    tried(test, SHORT, answer(body=b"x"))


def test_body_needs_a_rate_with_a_key_too() -> None:
    """A byte now and then is not enough in the long run."""

    async def test(proxy: Proxy) -> None:
        head = WITH_KEY.replace(b"\r\n\r\n", b"\r\nContent-Length: 1000000\r\n\r\n")
        parts = iter([head.replace(b"GET", b"POST")])

        async def send(streams: Streams) -> None:
            streams[1].write(next(parts, b"a"))

        seconds, got = await lasts(proxy, send)
        assert seconds < 4
        assert status(got) == 408

    tried(test, Limits(body_seconds=0.4, clock_seconds=0.05), answer())


@pytest.mark.parametrize(("known", "told"), [(False, 431), (True, 200)])
def test_heads_of_strangers_are_small(known: bool, told: int) -> None:
    """16 KiB, in pieces as they come; with a key four times as much."""

    async def test(proxy: Proxy) -> None:
        streams = await proxy.connect()
        if known:
            assert await use(streams) == 200
        streams[1].write(WITH_KEY[:-2])
        for number in range(30):
            streams[1].write(b"X-%d: %s\r\n" % (number, b"a" * 1000))
            await asyncio.sleep(0.005)
        streams[1].write(b"\r\n")
        assert status(await read_head(streams[0])) == told
        streams[1].close()

    tried(test, Limits(), answer(body=b"x"))


# -- The rule by itself


@dataclass(eq=False)
class One:
    """A connection, as it is counted."""

    source: str
    spare: bool = True
    left: bool = False
    transaction = None

    def make_room(self) -> None:
        self.left = True

    def tick(self, now: float) -> None: ...

    def close(self) -> None: ...


def let_in(crowd: ConnectionShares, *sources: str, now: float = 0) -> list[One]:
    made = [One(source) for source in sources]
    for one in made:
        assert crowd.enter(one, now)
    return made


def test_address_with_the_most_makes_room() -> None:
    """Not one that has a single connection, however old it is."""
    crowd = ConnectionShares(Limits(strangers=6, share=5))
    quiet = let_in(crowd, "a", "b")
    many = let_in(crowd, "c", "c", "c", "c")
    let_in(crowd, "d", "e")
    assert [one.left for one in quiet + many] == [False, False, True, True, False, False]


def test_strangers_go_before_those_with_a_key() -> None:
    """And those with a key only where all places are taken."""
    crowd = ConnectionShares(Limits(connections=4, strangers=3, share=3))
    known = let_in(crowd, "a", "a")
    for one in known:
        crowd.know(one, 0)
    strangers = let_in(crowd, "b", "c")
    let_in(crowd, "d", "e")
    assert [one.left for one in strangers + known] == [True, True, False, False]


def test_nobody_at_work_makes_room() -> None:
    """Then the newest is one too many, and is not counted."""
    crowd = ConnectionShares(Limits(connections=2))
    busy = let_in(crowd, "a", "b")
    for one in busy:
        one.spare = False
    late = One("c")
    assert not crowd.enter(late, 0)
    assert crowd.leaving == 1
    crowd.leave(late, 0)
    crowd.leave(busy[0], 0)
    let_in(crowd, "c")
    assert not busy[1].left


def test_address_has_its_share_again_when_no_key_came_for_long() -> None:
    """From when the last connection with one has ended."""
    crowd = ConnectionShares(Limits(share=1))
    (known,) = let_in(crowd, "a")
    crowd.know(known, 0)
    let_in(crowd, "a", "a", now=KNOWN_SECONDS * 2)
    crowd.leave(known, KNOWN_SECONDS * 2)
    before = let_in(crowd, "a", now=KNOWN_SECONDS * 3 - 1)
    crowd.tick(KNOWN_SECONDS * 3 + 1)
    let_in(crowd, "a", now=KNOWN_SECONDS * 3 + 1)
    assert not crowd._lately
    assert before[0].left


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%en0", "fe80::2%en0", True),
        ("unknown", "unknown", True),
    ],
)
def test_source_is_an_address_or_a_network_of_ipv6(first: str, second: str, same: bool) -> None:
    """Of which everybody has 2**64 addresses."""
    assert (source_of(first) == source_of(second)) is same


def working(proxy: Proxy) -> list[object]:
    """Connections on which a request is open that llama-swap has."""
    return [client for client in proxy.engine.clients if client.transaction]
