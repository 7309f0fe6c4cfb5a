"""Slow, huge and crowding clients: each is bounded, and told why when it can be."""

import asyncio
import socket
from contextlib import AbstractAsyncContextManager, suppress

import pytest

from proxy.engine.flow_control import RESET_ON_CLOSE
from proxy.limits import Limits
from tests.proxy.support.proxy import (
    KEY,
    Proxy,
    Seen,
    Upstream,
    Wire,
    answer,
    body,
    error,
    headers,
    listening,
    proxy_to,
    read_head,
    run,
    status,
    until,
)

QUICK = Limits(
    head_seconds=0.3, idle_seconds=0.6, body_seconds=0.4, send_seconds=0.5, clock_seconds=0.05
)
GOOD = f"Host: x\r\nAuthorization: Bearer {KEY}\r\n"


def quick(upstream: Upstream, limits: Limits = QUICK) -> AbstractAsyncContextManager[Proxy]:
    return proxy_to(upstream.port, limits=limits)


def test_head_that_comes_byte_by_byte_is_not_waited_for() -> None:
    """Slowloris: each byte is progress, the head is not."""

    async def situation() -> None:
        async with listening(Upstream(answer())) as upstream, quick(upstream) as proxy:
            reader, writer = await proxy.connect()
            reading = asyncio.create_task(reader.read())
            async with asyncio.timeout(3):
                for byte in b"GET / HTTP/1.1\r\nHost: " + b"x" * 1000:
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0.02)
                    if reading.done():
                        break
                got = await reading
            writer.close()

            assert status(got) == 408
            assert error(got)["code"] == "request_timeout"
            assert upstream.connections == 0

    run(situation())


@pytest.mark.parametrize("before", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_idle_connection_is_ended_in_silence(before: bytes) -> None:
    """Before the first request and after it; nothing is said that could be taken for an answer."""

    async def situation() -> None:
        async with listening(Upstream(answer())) as upstream, quick(upstream) as proxy:
            async with asyncio.timeout(3):
                got = await proxy.raw(before)

            assert got.count(b"HTTP/1.1") == (1 if before else 0)
            assert not proxy.engine.clients

    run(situation())


def test_body_without_progress_is_not_waited_for() -> None:
    """And llama-swap does not get to see half of it as a whole."""

    async def situation() -> None:
        upstream = Upstream(answer(), reads_body=True)
        async with listening(upstream), quick(upstream) as proxy:
            reader, writer = await proxy.begin(head="Content-Length: 10\r\n")
            writer.write(b"12345")
            async with asyncio.timeout(3):
                got = await reader.read()
            writer.close()

            assert status(got) == 408
            assert headers(got)["connection"] == "close"

    run(situation())


def test_client_that_takes_nothing_of_its_answer_is_let_go() -> None:
    """Its stream would hold llama-swap's slot for ever."""
    stopped = asyncio.Event()

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            while True:
                await wire.send(b"x" * 65536)
        except ConnectionError:
            stopped.set()

    async def situation() -> None:
        async with listening(Upstream(script)) as upstream, quick(upstream) as proxy:
            _, writer = await proxy.begin()
            writer.transport.pause_reading()
            async with asyncio.timeout(5):
                await stopped.wait()
            writer.transport.abort()

    run(situation())


def test_client_that_takes_its_answer_drop_by_drop_is_let_go() -> None:
    """Some of it all the time, which is progress, and no reading."""
    stopped = asyncio.Event()

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            while True:
                await wire.send(b"x" * 65536)
        except ConnectionError:
            stopped.set()

    async def situation() -> None:
        loop = asyncio.get_running_loop()
        async with listening(Upstream(script)) as upstream, quick(upstream) as proxy:
            peer = socket.socket()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.setblocking(False)
            await loop.sock_connect(peer, ("127.0.0.1", proxy.port))
            await loop.sock_sendall(peer, f"GET /running HTTP/1.1\r\n{GOOD}\r\n".encode())
            with peer:
                async with asyncio.timeout(20):
                    while not stopped.is_set():
                        with suppress(ConnectionError):
                            await loop.sock_recv(peer, 64)
                        await asyncio.sleep(0.05)

    run(situation(), 30)


@pytest.mark.parametrize("head", ["X-A: " + "a" * 9000, "\r\n".join(["X-A: a" * 200] * 100)])
def test_large_head_is_refused(head: str) -> None:
    """One line, or all of them."""

    async def situation() -> None:
        async with listening(Upstream(answer())) as upstream, quick(upstream) as proxy:
            got = await proxy.raw(f"GET / HTTP/1.1\r\n{GOOD}{head}\r\n".encode())

            assert status(got) == 431
            assert error(got)["code"] == "head_too_large"
            assert upstream.connections == 0

    run(situation())


@pytest.mark.parametrize("chunked", [False, True])
def test_large_body_is_refused(chunked: bool) -> None:
    """By what its head says, or by what came; the client gets to read why."""

    async def situation() -> None:
        limits = Limits(body_bytes=100_000)
        async with listening(Upstream(answer())) as upstream, quick(upstream, limits) as proxy:
            how = "Transfer-Encoding: chunked\r\n" if chunked else "Content-Length: 200000\r\n"
            reader, writer = await proxy.begin(head=how)
            data = b"x" * 200_000
            writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if chunked else data)
            got = await reader.read()
            writer.close()

            assert status(got) == 413
            assert error(got)["code"] == "body_too_large"
            assert headers(got)["connection"] == "close"
            assert not upstream.seen or not upstream.seen[0].body

    run(situation())


def test_refused_body_that_comes_drop_by_drop_is_not_waited_for() -> None:
    """Without a key, nobody may hold a connection by sending a byte now and then."""

    async def situation() -> None:
        async with listening(Upstream(answer())) as upstream, quick(upstream) as proxy:
            reader, writer = await proxy.connect()
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
            reading = asyncio.create_task(reader.read())
            async with asyncio.timeout(3):
                while not reading.done():
                    writer.write(b"x")
                    await asyncio.sleep(0.05)
            writer.close()
            assert status(await reading) == 401

    run(situation())


def test_flood_of_small_requests_is_answered_in_order() -> None:
    """In one read, and refused: a call inside a call for each would be too deep."""

    async def situation() -> None:
        async with listening(Upstream(answer())) as upstream, quick(upstream) as proxy:
            one = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
            last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            got = await proxy.raw(one * 2000 + last)

            assert got.count(b"HTTP/1.1 401 ") == 2001

    run(situation())


def test_requests_sent_far_ahead_are_not_kept_and_leaving_is_still_noticed() -> None:
    """Their sender has to send them again, on another connection."""
    stopped = asyncio.Event()

    async def script(_: Seen, wire: Wire) -> None:
        await wire.closed_by_peer()
        stopped.set()

    async def situation() -> None:
        async with listening(Upstream(script)) as upstream, quick(upstream) as proxy:
            _, writer = await proxy.begin("GET / HTTP/1.1")
            writer.write(f"GET / HTTP/1.1\r\n{GOOD}\r\n".encode() * 10000)
            await writer.drain()
            await until(lambda: upstream.seen)
            writer.close()
            async with asyncio.timeout(2):
                await stopped.wait()

            assert len(upstream.seen) == 1

    run(situation())


def test_client_that_leaves_an_upload_nobody_takes_is_noticed() -> None:
    """Nothing is read from it then, so it has to be looked after. Of a client that ends in good
    order nothing arrives before its bytes are taken: that is TCP's doing."""
    stopped = asyncio.Event()

    async def script(_: Seen, wire: Wire) -> None:
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(1)
        wire.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await wire.closed_by_peer()
        stopped.set()

    async def situation() -> None:
        upstream = Upstream(script, reads_body=False)
        async with listening(upstream), quick(upstream) as proxy:
            _, writer = await proxy.begin(head="Content-Length: 100000000\r\n")
            writer.write(b"x" * 50_000_000)
            await asyncio.sleep(0.5)
            peer = writer.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            writer.transport.abort()
            await until(lambda: not proxy.engine.clients, 0.4)
            async with asyncio.timeout(3):
                await stopped.wait()

    run(situation())


def test_small_refused_body_leaves_the_connection_usable() -> None:
    """A new connection for each wrong request would cost both sides."""

    async def situation() -> None:
        async with listening(Upstream(answer(body=b"x"))) as upstream, quick(upstream) as proxy:
            reader, writer = await proxy.connect()
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12")
            head = await read_head(reader)
            assert status(head) == 401
            await reader.readexactly(int(headers(head)["content-length"]))
            writer.write(f"345GET / HTTP/1.1\r\n{GOOD}Connection: close\r\n\r\n".encode())
            got = await reader.read()
            writer.close()

            assert (status(got), body(got)) == (200, b"x")

    run(situation())
