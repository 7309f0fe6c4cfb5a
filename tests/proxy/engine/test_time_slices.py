"""No token comes late through us, whatever others send: what one turn of the event loop takes.

The proxy runs in this thread, with the policy of the program, and everybody else in another one.
What is bounded is the processor's time of this thread in a turn: it is what a token waits for that
came when the turn began, on a machine of which others want nothing. bench/lateness.py tells what a
client sees.
"""

import asyncio
import gc
import gzip
import re
import threading
import zlib
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import thread_time
from typing import Any

import pytest

from tests.proxy.support.policy import ANNA
from tests.proxy.support.proxy import LOOP, LOOPS
from tests.proxy.support.stack import listening_on

MOST = 0.02  # seconds
PATIENCE = 30  # seconds for one kind, on a machine that has much else to do
MIB = 2**20


def post(body: bytes, *more: str, step: int = 0) -> bytes:
    """A request with it, in chunks of a size if there is one."""
    head = "".join(
        f"{line}\r\n"
        for line in ("POST /v1/chat/completions HTTP/1.1", "Host: x", "Connection: close",
                     f"Authorization: Bearer {ANNA}", *(more or ["Content-Type: application/json"]))
    ).encode()  # fmt: skip
    if not step:
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    pieces = (body[at : at + step] for at in range(0, len(body), step))
    chunks = (b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(chunks) + b"0\r\n\r\n"


def after(long: bytes) -> bytes:
    """JSON that names its model behind all else."""
    return b'{"x":' + long + b',"model":"gpt-oss"}'


def array(item: bytes, many: int) -> bytes:
    return b"[" + b",".join([item] * many) + b"]"


def form(*parts: bytes) -> bytes:
    return b"".join(b"--B\r\n" + part + b"\r\n" for part in parts) + b"--B--\r\n"


FORM = "Content-Type: multipart/form-data; boundary=B"
NAMED = b'Content-Disposition: form-data; name="model"\r\n\r\ngpt-oss'
FIELD = b'Content-Disposition: form-data; name="x"\r\n\r\nx'
PART = b'{"type":"text","text":"x"}'
IMAGE = b'{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}'
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
END = b"Host: x\r\nConnection: close\r\n\r\n"
LAST = b"GET /healthz HTTP/1.1\r\n" + END
STRANGE = b"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-no\r\n\r\n"

KINDS: dict[str, tuple[int, Callable[[], bytes]]] = {
    "31 MiB of a message": (4, lambda: post(after(b'"' + b"x" * (31 * MIB) + b'"'))),
    "messages": (4, lambda: post(after(array(PART, 100_000)))),
    "images": (4, lambda: post(after(array(IMAGE, 20_000)))),
    "integers": (4, lambda: post(after(array(b"12345", 300_000)))),
    "brackets": (4, lambda: post(after(array(b"[[[[[[1]]]]]]", 5_000)))),
    "names with escapes": (
        4, lambda: post(b"{" + b'"\\u0061":1,' * 40_000 + b'"model":"gpt-oss"}'),
    ),
    "escapes": (4, lambda: post(after(b'"' + b"\\u0041" * 10**6 + b'"'))),
    "letters": (4, lambda: post(after(b'"' + "ü".encode() * 4 * MIB + b'"'))),
    "no JSON": (4, lambda: post(b"{" + b" " * (8 * MIB) + b"x")),
    "behind the model": (
        4, lambda: post(b'{"model":"gpt-oss","x":' + array(b"{}", 300_000) + b"}"),
    ),
    "fields": (4, lambda: post(form(*[FIELD] * 60_000, NAMED), FORM)),
    "before a form": (4, lambda: post(b"--A\r\n" * 10**6 + form(NAMED), FORM)),
    "packed": (
        4, lambda: post(gzip.compress(after(b'"' + b"x" * (30 * MIB) + b'"')),
                "Content-Type: application/json", "Content-Encoding: gzip"),
    ),
    "packed in pieces": (
        4, lambda: post(gzip.compress(b" ", 1) * 900 + gzip.compress(after(b"1")),
                "Content-Type: application/json", "Content-Encoding: gzip"),
    ),
    "packed nothing": (
        4, lambda: post(zlib.compress(b"")[:2] + b"\x00\x00\x00\xff\xff" * 10**6,
                "Content-Type: application/json", "Content-Encoding: deflate"),
    ),
    "chunks of a byte": (4, lambda: post(after(b'"' + b"x" * 100_000 + b'"'), step=1)),
    "chunks of seven bytes": (4, lambda: post(after(array(b"1", 100_000)), step=7)),
    "many with few chunks": (200, lambda: post(after(b'"' + b"x" * 6000 + b'"'), step=1)),
    "chunks for a stranger": (
        4, lambda: post(b"x" * 100_000, step=1).replace(ANNA.encode(), b"sk-no"),
    ),
    "chunks behind a request": (
        4, lambda: GET + post(after(b'"' + b"x" * 100_000 + b'"'), step=1),
    ),
    "many at once": (200, lambda: post(b'{"model":"gpt-oss","messages":[]}')),
    "behind each other": (4, lambda: GET * 2_000 + LAST),
    "strangers behind each other": (4, lambda: STRANGE * 2_000 + LAST),
    "no HTTP": (200, lambda: b"\x16\x03\x01" * 1000),
    "header lines": (50, lambda: b"GET /v1/models HTTP/1.1\r\n" + b"x: y\r\n" * 120 + END),
    "cookies": (50, lambda: b"GET /ui HTTP/1.1\r\nCookie: " + b'a="\"; ' * 1000 + b"\r\n" + END),
    "a query": (
        50, lambda: b"GET /props?" + b"model=%78&" * 700 + b"x HTTP/1.1\r\n"
            + f"Authorization: Bearer {ANNA}\r\n".encode() + END,
    ),
}  # fmt: skip


class Others:
    """An upstream that takes everything, and clients that all send the same at once."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.upstream = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    async def _listen(self) -> int:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=MIB)
        port: int = server.sockets[0].getsockname()[1]
        return port

    @staticmethod
    async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            if length := re.search(rb"Content-Length: ([0-9]+)", head):
                await reader.readexactly(int(length[1]))
            end = b"" if b"chunked" in head else b"0\r\n\r\n"
            while not end.endswith(b"0\r\n\r\n"):
                data = await reader.read(MIB)
                end = (end + data)[-8:]
                if not data:
                    return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        writer.close()

    async def send(self, port: int, many: int, data: bytes) -> list[bytes]:
        """What so many clients get."""

        async def all_of_them() -> list[bytes]:
            return await asyncio.gather(*(self._client(port, data) for _ in range(many)))

        return await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(all_of_them(), self._loop)
        )

    @staticmethod
    async def _client(port: int, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        got = bytearray()
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                writer.write(data)
                while some := await reader.read(MIB):
                    got += some
        writer.close()
        return bytes(got)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


@pytest.fixture(scope="module")
def others() -> Iterator[Others]:
    made = Others()
    yield made
    made.end()


@contextmanager
def longest_turn() -> Iterator[list[float]]:
    """The processor's time of the longest turn of this event loop meanwhile, looked at often, but
    not in each turn: the others are to get on, too."""
    gc.collect()
    gc.freeze()  # what the tests have is not the proxy's to look through
    loop, longest, last = asyncio.get_running_loop(), [0.0], thread_time()

    def turn() -> None:
        nonlocal last, handle
        now = thread_time()
        longest[0], last = max(longest[0], now - last), now
        handle = loop.call_later(0.001, turn)

    handle = loop.call_later(0.001, turn)
    yield longest
    handle.cancel()
    gc.unfreeze()


def assert_short(longest: Callable[[], Coroutine[Any, Any, float]]) -> None:
    """Measured twice more if a turn was long: the kernel books to a thread what it does for others
    meanwhile, while what the proxy does takes the same each time."""

    def measured() -> float:
        with asyncio.Runner(loop_factory=LOOPS[LOOP]) as runner:
            return runner.run(asyncio.wait_for(longest(), 90))

    assert measured() < MOST or min(measured(), measured()) < MOST


# Of each part that reads what others send, the kind that took longest once.
FEW = (
    *("31 MiB of a message", "names with escapes", "fields", "packed", "chunks of a byte"),
    *("chunks behind a request", "behind each other", "header lines"),
)


@pytest.mark.parametrize(
    "kind", [k if k in FEW else pytest.param(k, marks=pytest.mark.soak) for k in KINDS]
)
def test_no_turn_is_long(others: Others, kind: str, tmp_path: Path) -> None:
    many, made = KINDS[kind]
    data = made()

    async def longest() -> float:
        async with listening_on(tmp_path, others.upstream) as proxy:
            await others.send(proxy.port, 1, GET + LAST)  # what is done once
            with longest_turn() as found:
                answers = await others.send(proxy.port, many, data)
            assert any(b"HTTP/1.1 " in answer for answer in answers), "nobody was answered"
            return found[0]

    assert_short(longest)


@pytest.mark.parametrize("before", [b"", GET])
def test_chunks_behind_the_rest_of_a_head(others: Others, before: bytes, tmp_path: Path) -> None:
    """What says that they are chunks came in another read than they do, in two parts."""
    head, chunks = post(after(b'"' + b"x" * 100_000 + b'"'), step=1).split(b"chunked", 1)

    async def longest() -> float:
        async with listening_on(tmp_path, others.upstream) as proxy:
            await others.send(proxy.port, 1, GET + LAST)
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(before + head + b"chun")
            await asyncio.sleep(0.1)
            with longest_turn() as found:
                writer.write(b"ked" + chunks)
                async with asyncio.timeout(PATIENCE):
                    assert b"HTTP/1.1 200" in await reader.read()
            writer.close()
            return found[0]

    assert_short(longest)
