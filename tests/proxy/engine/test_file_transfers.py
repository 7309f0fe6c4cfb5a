"""Places for files on their way: who reads slowly, or takes all of them, keeps nobody out."""

import asyncio
import random
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from proxy.certificate import Certificate
from proxy.limits import Limits
from tests.proxy.support.files import Site, put, read_answer, read_head, request, site
from tests.proxy.support.proxy import run, until
from tests.proxy.support.tls import make, trusting

MB = 2**20
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
BUSY = Limits(files=4, file_window_seconds=0.3, clock_seconds=0.05, share=100)
OTHERS = "127.0.0.2"
only_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux has more than one address of its own unasked"
)


def tried(directory: Path, test: Callable[[Site], Awaitable[None]], limits: Limits) -> None:
    async def situation() -> None:
        async with site(directory, limits=limits) as made:
            await test(made)

    run(situation(), 60)


def large(made: Site) -> tuple[str, bytes]:
    content = random.Random(1).randbytes(MB) * 24
    return put(made.models / "model", "large.gguf", content), content


async def begin(made: Site, sha256: str, address: str = "127.0.0.1") -> Streams:
    """A client that has read the head, and takes no more by itself than fits into a socket."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    peer.bind((address, 0))
    peer.setblocking(False)
    await asyncio.get_running_loop().sock_connect(peer, ("127.0.0.1", made.port))
    name = "localhost" if made.tls else None
    reader, writer = await asyncio.open_connection(
        sock=peer, limit=1024, ssl=made.tls, server_hostname=name
    )
    writer.write(request(f"GET /files/{sha256}"))
    assert (await read_head(reader))[0] == 200
    return reader, writer


async def all_of(made: Site, sha256: str, address: str) -> int:
    """A good client; the status, with all of the body read."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", made.port, local_addr=(address, 0), limit=2**20
    )
    writer.write(request(f"GET /files/{sha256}"))
    got = await read_answer(reader)
    writer.close()
    return got.status


async def close(*streams: Streams) -> None:
    for _, writer in streams:
        writer.transport.abort()


@only_linux
def test_who_takes_all_places_gives_one_of_them_to_another(tmp_path: Path) -> None:
    """Until both have as many; his own next one is told to come back."""

    async def test(made: Site) -> None:
        sha256, _ = large(made)
        mine = [await begin(made, sha256) for _ in range(4)]
        theirs = [await begin(made, sha256, OTHERS) for _ in range(2)]
        assert len(made.engine.transfers._open) == 4
        assert (await made.ask(f"GET /files/{sha256}")).status == 503
        await until(lambda: len(made.log.lines) >= 3)
        broken = [line for line in made.log.lines if line.note == "broken off: others wait"]
        assert [line.client for line in broken] == ["127.0.0.1"] * 2
        await close(*mine, *theirs)

    tried(tmp_path, test, Limits(files=4))


@only_linux
def test_eight_slow_readers_keep_out_no_other_mac(tmp_path: Path) -> None:
    """With the limits as they are."""

    async def test(made: Site) -> None:
        sha256, _ = large(made)
        slow = [await begin(made, sha256) for _ in range(8)]
        assert await all_of(made, sha256, OTHERS) == 200
        await close(*slow)

    tried(tmp_path, test, Limits())


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_slow_reader_gives_its_place_to_who_waits(tmp_path: Path, secure: bool) -> None:
    """From the same address too, and though each of them takes a little all the time."""

    async def test(made: Site) -> None:
        sha256, content = large(made)
        slow = [await begin(made, sha256) for _ in range(4)]
        await asyncio.sleep(1.2)
        for _ in range(2):
            for reader, _ in slow:
                await reader.readexactly(512)
            await asyncio.sleep(0.1)
        got = await made.ask(f"GET /files/{sha256}")
        assert (got.status, got.body == content) == (200, True)
        broken = [line for line in made.log.lines if line.note == "broken off: others wait"]
        assert len(broken) == 1
        await close(*slow)

    async def situation() -> None:
        tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None
        if secure:
            make(tmp_path, "localhost")
            certificate = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
            tls = certificate.context, trusting(tmp_path)
        async with site(tmp_path, limits=BUSY, tls=tls) as made:
            await test(made)

    run(situation(), 60)


def test_quick_reader_keeps_its_place(tmp_path: Path) -> None:
    """The newest comes again later."""

    async def test(made: Site) -> None:
        sha256, content = large(made)
        streams = await begin(made, sha256)

        async def read() -> int:
            return len(await streams[0].readexactly(len(content)))

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.1)
        statuses = set()
        while not reading.done():
            statuses.add((await made.ask(f"GET /files/{sha256}", Range="bytes=0-9")).status)
            await asyncio.sleep(0.05)
        assert await reading == len(content)
        await close(streams)
        assert statuses <= {503, 206}

    tried(tmp_path, test, Limits(files=1, file_window_seconds=0.3, clock_seconds=0.05))
