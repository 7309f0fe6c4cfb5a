"""Traps that other proxies fall into, each over real sockets: those that no other file is about."""

import asyncio
import socket

import pytest

from tests.proxy.support.proxy import (
    KEY,
    STREAM_HEAD,
    Proxy,
    Seen,
    Wire,
    answer,
    headers,
    proxied,
    read_head,
    run,
    status,
    until,
)

HOP_BY_HOP = (
    "Connection: keep-alive, X-Named\r\nX-Named: 1\r\nKeep-Alive: timeout=5\r\n"
    "Proxy-Connection: keep-alive\r\nTE: trailers\r\nTrailer: X-T\r\nUpgrade: h2c\r\n"
    "Proxy-Authorization: Basic eA==\r\nProxy-Authenticate: Basic\r\n"
)
NAMES = {line.split(":")[0].lower() for line in HOP_BY_HOP.splitlines()}


def test_headers_of_one_connection_do_not_reach_the_other_side() -> None:
    """Neither up nor down; what stands beside them does."""

    async def situation() -> None:
        down = HOP_BY_HOP.replace("keep-alive, X-Named", "X-Named") + "X-Kept: down\r\n"
        async with proxied(answer(down)) as (proxy, upstream):
            got = await proxy.ask("POST / HTTP/1.1", HOP_BY_HOP + "X-Kept: up\r\n", b"{}")

            up = {name.lower() for name, _ in upstream.seen[0].headers}
            assert not up & NAMES
            assert upstream.seen[0].all("X-Kept") == ["up"]
            assert set(headers(got)) & NAMES <= {"connection"}
            assert headers(got)["connection"] == "close", "ours, because the client asked for it"
            assert headers(got)["x-kept"] == "down"

    run(situation())


@pytest.mark.parametrize("begun", [False, True], ids=["before the head", "mid-stream"])
def test_client_that_leaves_stops_the_model(begun: bool) -> None:
    """Within its answer the end of its sending side says so; before, only that nobody is there."""
    stopped = asyncio.Event()

    async def script(_: Seen, wire: Wire) -> None:
        if begun:
            await wire.send(STREAM_HEAD)
            await wire.chunk(b"data: 1\n\n")
        await wire.closed_by_peer()
        stopped.set()

    async def situation() -> None:
        async with proxied(script) as (proxy, upstream):
            reader, writer = await proxy.begin("GET / HTTP/1.1")
            await until(lambda: upstream.seen)
            if begun:
                await read_head(reader)
            if begun:
                writer.write_eof()
            else:
                writer.close()
            await asyncio.wait_for(stopped.wait(), 1)
            if begun:
                assert not (await reader.read()).endswith(b"0\r\n\r\n")
                writer.close()

    run(situation())


def slow_client(proxy: Proxy) -> socket.socket:
    """It has asked, and takes nothing yet."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    client.connect(("127.0.0.1", proxy.port))
    client.sendall(f"GET /slow HTTP/1.1\r\nHost: x\r\nX-Api-Key: {KEY}\r\n\r\n".encode())
    client.setblocking(False)
    return client


def test_connection_that_was_held_back_is_read_from_again() -> None:
    """An answer ends just as the buffers of a slow client are full; who comes next is answered."""
    size, passed = 40_000_000, list[int]()

    async def script(seen: Seen, wire: Wire) -> None:
        await answer(body=b"x" * (size if "/slow" in seen.line else 1))(seen, wire)

    async def situation() -> None:
        nonlocal size
        async with proxied(script) as (proxy, upstream):
            done = proxy.engine.policy.done
            proxy.engine.policy.done = lambda request, outcome: (  # type: ignore[method-assign]
                passed.append(outcome.sent), done(request, outcome)
            )[1]  # fmt: skip
            client = slow_client(proxy)
            await asyncio.sleep(0.3)
            client.close()
            await until(lambda: passed)
            full = passed[0]  # what it took until the buffers were full
            for more in range(-600_000, 200_000, 20_000):
                size = full + more
                client = slow_client(proxy)
                await asyncio.sleep(0.02)
                async with asyncio.timeout(2):
                    assert status(await proxy.ask("GET /next HTTP/1.1")) == 200
                client.close()
            assert 1 < upstream.connections < 80

    run(situation(), 30)


def test_upstream_that_dies_while_a_client_is_slow_writes_no_second_answer() -> None:
    """What waits to be sent goes out or is lost, but no error follows in the middle of it."""

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(STREAM_HEAD)
        for _number in range(60):
            await wire.chunk(b"x" * 65536)
            await asyncio.sleep(0)
        wire.die()

    async def situation() -> None:
        async with proxied(script) as (proxy, upstream):
            client = slow_client(proxy)
            await until(lambda: upstream.seen)
            await asyncio.sleep(0.3)
            loop, got = asyncio.get_running_loop(), b""
            try:
                while data := await loop.sock_recv(client, 262144):
                    got += data
            except ConnectionError:
                pass
            client.close()

            assert got.count(b"HTTP/1.1") == 1
            assert not got.endswith(b"0\r\n\r\n")

    run(situation())
