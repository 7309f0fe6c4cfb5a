"""Streams in both directions: at once, byte-exact, bounded, and ended by whoever leaves."""

import asyncio
import gzip
import hashlib
import resource
import socket
import sys

import pytest

from proxy.limits import Limits
from tests.proxy.support.proxy import (
    KEY,
    STREAM_HEAD,
    Proxy,
    Seen,
    Upstream,
    Wire,
    answer,
    body,
    headers,
    listening,
    proxied,
    proxy_to,
    read_chunks,
    read_head,
    run,
    status,
    until,
)

EVENTS = [
    b": ping\n\n",
    b'data: {"choices":[{"delta":{"content":"\xe2\x82\xac"}}]}\n\n',
    b"data: half of an ev",
    b"ent\r\n\r\n\n",
    b"event: x\nid: 1\nretry: 5\n\n",
    b"\x00\xff\r\n0\r\n\r\n",
    b"data: [DONE]\n\n",
]


def test_each_event_arrives_before_the_next_is_made() -> None:
    """The upstream makes the next event only when the client has the one before, to the byte."""
    arrived = asyncio.Queue[bytes]()

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(STREAM_HEAD)
        for event in EVENTS:
            await wire.chunk(event)
            assert await arrived.get() == event
        await wire.send(b"0\r\n\r\n")

    async def situation() -> None:
        async with proxied(script) as (proxy, _):
            reader, writer = await proxy.begin()
            head = await read_head(reader)
            got = []
            async for chunk in read_chunks(reader):
                got.append(chunk)
                arrived.put_nowait(chunk)
            writer.close()

            assert headers(head)["content-type"] == "text/event-stream"
            assert got == EVENTS

    run(situation())


def test_head_arrives_before_the_first_token() -> None:
    """Loading a model takes a minute; the client knows at once that it was accepted."""
    release = asyncio.Event()

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(STREAM_HEAD)
        await release.wait()
        await wire.send(b"0\r\n\r\n")

    async def situation() -> None:
        async with proxied(script) as (proxy, _):
            reader, writer = await proxy.begin()
            async with asyncio.timeout(2):
                assert status(await read_head(reader)) == 200
            release.set()
            assert await reader.readline() == b"0\r\n"
            writer.close()

    run(situation())


def test_request_body_arrives_before_the_next_part_is_sent() -> None:
    """Chunked up: the upstream has the first part before the client makes the second."""
    arrived = asyncio.Queue[bytes]()

    async def script(_: Seen, wire: Wire) -> None:
        async for chunk in read_chunks(wire.reader):
            arrived.put_nowait(chunk)
        await answer()(_, wire)

    async def situation() -> None:
        async with proxied(script, reads_body=False) as (proxy, upstream):
            reader, writer = await proxy.begin(head="Transfer-Encoding: chunked\r\n")
            for part in (b"one", b"two", b"three"):
                writer.write(b"%x\r\n%s\r\n" % (len(part), part))
                assert await arrived.get() == part
            writer.write(b"0\r\n\r\n")

            assert status(await read_head(reader)) == 200
            assert upstream.seen[0].all("Transfer-Encoding") == ["chunked"]
            assert not upstream.seen[0].all("Content-Length")
            writer.close()

    run(situation())


def peak_memory() -> float:
    """The most memory this process ever had, in MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
def test_body_of_100_MB_goes_up_whole_and_is_not_kept(chunked: bool) -> None:
    """Past aiohttp's limit of 1 MiB, without taking that much memory."""
    block = bytes(range(256)) * 4096
    blocks = 100
    digest = hashlib.sha256()

    async def script(seen: Seen, wire: Wire) -> None:
        if seen.all("Content-Length"):
            left = int(seen.all("Content-Length")[0])
            while left:
                data = await wire.reader.read(min(left, 65536))
                digest.update(data)
                left -= len(data)
        else:
            async for chunk in read_chunks(wire.reader):
                digest.update(chunk)
        await answer(body=digest.hexdigest().encode())(seen, wire)

    async def situation() -> None:
        async with proxied(script, reads_body=False) as (proxy, _):
            before = peak_memory()
            length = f"Content-Length: {blocks * len(block)}\r\n"
            reader, writer = await proxy.begin(
                head="Transfer-Encoding: chunked\r\n" if chunked else length
            )
            for _ in range(blocks):
                writer.write(b"%x\r\n%s\r\n" % (len(block), block) if chunked else block)
                await writer.drain()
            if chunked:
                writer.write(b"0\r\n\r\n")
            head = await read_head(reader)
            got = await reader.readexactly(int(headers(head)["content-length"]))
            writer.close()
            grown = peak_memory() - before

            assert got.decode() == hashlib.sha256(block * blocks).hexdigest()
            assert grown < 30

    run(situation(), 30)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_compressed_body_passes_as_it_came(direction: str) -> None:
    """Neither decoded, which would make its length a lie, nor encoded anew."""
    packed = gzip.compress(b"text " * 1000)

    async def situation() -> None:
        down = packed if direction == "down" else b"{}"
        head = "Content-Encoding: gzip\r\n"
        async with proxied(answer(head if direction == "down" else "", down)) as (proxy, upstream):
            if direction == "up":
                await proxy.ask("POST / HTTP/1.1", head, packed)
                assert upstream.seen[0].body == packed
                assert upstream.seen[0].all("Content-Encoding") == ["gzip"]
                assert upstream.seen[0].all("Content-Length") == [str(len(packed))]
            else:
                got = await proxy.ask(head="Accept-Encoding: gzip\r\n")
                assert body(got) == packed
                assert headers(got)["content-encoding"] == "gzip"
                assert headers(got)["content-length"] == str(len(packed))

    run(situation())


@pytest.mark.parametrize("head", [b"", STREAM_HEAD], ids=["before the head", "before a token"])
def test_client_that_leaves_before_the_first_token_stops_the_upstream(head: bytes) -> None:
    """Otherwise the GPU works a minute for nobody."""
    stopped = asyncio.Event()

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(head)
        await wire.closed_by_peer()
        stopped.set()

    async def situation() -> None:
        async with proxied(script) as (proxy, upstream):
            _, writer = await proxy.begin()
            await until(lambda: upstream.seen)
            await asyncio.sleep(0.05)
            assert not stopped.is_set()
            writer.close()
            async with asyncio.timeout(1):
                await stopped.wait()

    run(situation())


def test_client_that_leaves_mid_stream_stops_the_upstream() -> None:
    """Even while no token comes."""
    stopped = asyncio.Event()

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(STREAM_HEAD)
        await wire.chunk(b"data: 1\n\n")
        await wire.closed_by_peer()
        stopped.set()

    async def situation() -> None:
        async with proxied(script) as (proxy, _):
            reader, writer = await proxy.begin()
            await reader.readuntil(b"data: 1\n\n")
            writer.close()
            async with asyncio.timeout(1):
                await stopped.wait()

    run(situation())


def test_client_that_leaves_mid_upload_ends_the_request_above() -> None:
    """The upstream sees an unfinished body, never a shortened one that looks whole."""
    ended: asyncio.Future[bytes]

    async def script(_: Seen, wire: Wire) -> None:
        ended.set_result(await wire.reader.read())

    async def situation() -> None:
        nonlocal ended
        ended = asyncio.get_running_loop().create_future()
        async with proxied(script, reads_body=False) as (proxy, upstream):
            _, writer = await proxy.begin(head="Transfer-Encoding: chunked\r\n")
            writer.write(b"3\r\nabc\r\n")
            await until(lambda: upstream.seen)
            await asyncio.sleep(0.05)
            writer.close()
            async with asyncio.timeout(1):
                got = await ended

            assert b"abc" in got
            assert b"0\r\n\r\n" not in got

    run(situation())


def test_slow_client_holds_the_upstream_back() -> None:
    """An endless answer to a client that does not read fills socket buffers, not our memory."""
    taken = 0

    async def script(_: Seen, wire: Wire) -> None:
        nonlocal taken
        await wire.send(STREAM_HEAD)
        while True:
            await wire.chunk(b"x" * 65536)
            taken += 65536

    async def situation() -> None:
        async with proxied(script) as (proxy, _):
            connection = socket.create_connection(("127.0.0.1", proxy.port))
            connection.sendall(
                f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
            )
            seen = -1
            async with asyncio.timeout(5):
                while seen != taken or not taken:
                    seen = taken
                    await asyncio.sleep(0.5)
            connection.close()

            assert taken < 25_000_000

    run(situation())


def test_slow_client_gets_all_of_an_answer_whose_upstream_is_long_gone() -> None:
    """What waits in buffers on the way is not lost when the upstream closes behind it."""
    whole = bytes(range(256)) * 4096 * 8

    async def script(_: Seen, wire: Wire) -> None:
        await answer("Connection: close\r\n", whole)(_, wire)
        wire.writer.close()

    async def situation() -> None:
        async with proxied(script) as (proxy, _):
            reader, writer = await proxy.begin()
            await read_head(reader)
            digest, left = hashlib.sha256(), len(whole)
            while left:
                data = await reader.read(min(left, 200_000))
                digest.update(data)
                left -= len(data)
                await asyncio.sleep(0.005)
            writer.close()

            assert digest.digest() == hashlib.sha256(whole).digest()

    run(situation())


def test_slow_upstream_holds_an_upload_back() -> None:
    """The same upwards."""

    async def script(_: Seen, wire: Wire) -> None:
        await asyncio.sleep(60)

    async def situation() -> None:
        async with proxied(script, reads_body=False) as (proxy, _):
            _, writer = await proxy.begin(head="Content-Length: 200000000\r\n")
            sent = 0
            try:
                async with asyncio.timeout(2):
                    while sent < 200_000_000:
                        writer.write(b"x" * 65536)
                        await writer.drain()
                        sent += 65536
            except TimeoutError:
                pass
            writer.transport.abort()

            assert 0 < sent < 40_000_000

    run(situation())


async def stream_that_dies(proxy: Proxy, request: str) -> bytes | None:
    """What the client read; None if the connection was reset."""
    reader, writer = await proxy.begin(request)
    try:
        got: bytes = await reader.read()
        return got
    except ConnectionResetError:
        return None
    finally:
        writer.close()


@pytest.mark.parametrize(
    "head",
    [STREAM_HEAD, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"],
    ids=["chunked", "with a length"],
)
@pytest.mark.parametrize("how", ["reset", "end", "garbage"])
def test_upstream_that_dies_mid_stream_is_no_clean_end(head: bytes, how: str) -> None:
    """Half an answer must not be taken for a whole one."""
    chunked = head is STREAM_HEAD

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(head)
        await (wire.chunk if chunked else wire.send)(b"data: 1\n\n")
        await asyncio.sleep(0.1)
        if how == "reset":
            wire.die()
        elif how == "garbage" and chunked:
            await wire.send(b"this is no chunk size\r\n")
        else:
            wire.writer.close()

    async def situation() -> None:
        async with proxied(script) as (proxy, _):
            got = await stream_that_dies(proxy, "POST / HTTP/1.1")

            assert got is not None
            assert b"data: 1\n\n" in got
            assert not got.endswith(b"0\r\n\r\n")
            assert got.count(b"HTTP/1.1") == 1

    run(situation())


def test_upstream_that_dies_is_no_clean_end_for_an_http_1_0_client() -> None:
    """There the end of the connection ends the answer, so only a reset tells."""

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(STREAM_HEAD)
        await wire.chunk(b"data: 1\n\n")
        await asyncio.sleep(0.1)
        wire.die()

    async def situation() -> None:
        async with proxied(script) as (proxy, _):
            assert await stream_that_dies(proxy, "GET / HTTP/1.0") is None

    run(situation())


def test_answer_that_comes_before_the_body_is_read_reaches_the_client() -> None:
    """A 413 of the upstream is not waited for until the upload is through."""

    async def situation() -> None:
        script = answer(body=b"too big", status="413 Too Large")
        async with proxied(script, reads_body=False) as (proxy, _):
            reader, writer = await proxy.begin(head="Content-Length: 100000000\r\n")
            writer.write(b"x" * 1000)
            async with asyncio.timeout(2):
                head = await read_head(reader)

            assert head.startswith(b"HTTP/1.1 413 Too Large\r\n")
            assert await reader.readexactly(7) == b"too big"
            writer.close()

    run(situation())


def test_many_streams_at_once_neither_wait_for_each_other_nor_mix() -> None:
    """All are open before any goes on; each client gets its own events, all of them, in order."""
    streams = 150
    opened = 0
    all_open = asyncio.Event()

    async def script(seen: Seen, wire: Wire) -> None:
        nonlocal opened
        await wire.send(STREAM_HEAD)
        opened += 1
        if opened == streams:
            all_open.set()
        await all_open.wait()
        for number in range(20):
            await wire.chunk(b"%s %d\n" % (seen.line.encode(), number))
            await asyncio.sleep(0.005)
        await wire.send(b"0\r\n\r\n")

    async def situation() -> None:
        async with proxied(script) as (proxy, _):

            async def client(name: int) -> None:
                reader, writer = await proxy.begin(f"GET /{name} HTTP/1.1")
                await read_head(reader)
                got = b"".join([chunk async for chunk in read_chunks(reader)])
                writer.close()
                line = f"GET /{name} HTTP/1.1".encode()
                assert got == b"".join(b"%s %d\n" % (line, number) for number in range(20))

            await asyncio.gather(*map(client, range(streams)))

    run(situation())


def test_no_answer_takes_too_long() -> None:
    """Not before its head, and not between two tokens: the limits of time are for requests."""
    limits = Limits(
        head_seconds=0.1, idle_seconds=0.1, body_seconds=0.1, send_seconds=0.1, clock_seconds=0.05
    )

    async def script(_: Seen, wire: Wire) -> None:
        await asyncio.sleep(0.6)
        await wire.send(STREAM_HEAD)
        await wire.chunk(b"data: 1\n\n")
        await asyncio.sleep(0.6)
        await wire.chunk(b"data: 2\n\n")
        await wire.send(b"0\r\n\r\n")

    async def situation() -> None:
        async with (
            listening(Upstream(script)) as upstream,
            proxy_to(upstream.port, limits=limits) as proxy,
        ):
            reader, writer = await proxy.begin(head="Content-Length: 2\r\n")
            writer.write(b"{}")
            await read_head(reader)
            assert [chunk async for chunk in read_chunks(reader)] == [
                b"data: 1\n\n",
                b"data: 2\n\n",
            ]
            writer.close()

    run(situation())
