"""A proxy between a real upstream and real clients, all over sockets of this machine."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from proxy.app import Settings, create_engine
from proxy.engine.engine import Engine
from proxy.keys.store import KeyStore
from proxy.limits import Limits
from tests import preloaded
from tests.proxy.support.plain import PlainPolicy

KEY = "sk-herd-the-key-of-these-tests"
ROOT = Path(__file__).parents[3]

# The program runs on uvloop; without it, and in PROXY_TEST_LOOP=asyncio, on asyncio's own loop.
LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
LOOP = os.environ.get("PROXY_TEST_LOOP", "uvloop")

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T], seconds: float = 15) -> T:
    """Runs one asynchronous test, on the event loop of `LOOP`; what hangs is a failure."""
    with asyncio.Runner(loop_factory=LOOPS[LOOP]) as runner:
        return runner.run(asyncio.wait_for(coroutine, seconds))


@dataclass
class Seen:
    """A request as it reached the upstream."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass
class Wire:
    """The upstream's end of a connection, for scripts that answer byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def closed_by_peer(self) -> None:
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass

    def die(self) -> None:
        self.writer.transport.abort()


Script = Callable[[Seen, Wire], Awaitable[None]]

STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def answer(head: str = "", body: bytes = b"{}", status: str = "200 OK") -> Script:
    """A script that gives one plain answer, with a Content-Length."""

    async def script(_: Seen, wire: Wire) -> None:
        first = f"HTTP/1.1 {status}\r\n{head}Content-Length: {len(body)}\r\n\r\n"
        await wire.send(first.encode("latin-1") + body)

    return script


@dataclass
class Upstream:
    """Stands in for llama-swap: notes what reaches it, to the byte, and answers by a script.

    A script that takes the body itself has `reads_body = False`.
    """

    script: Script
    reads_body: bool = True
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await read_head(reader):
                line, headers = split_head(head)
                request = Seen(line, headers)
                self.seen.append(request)
                if self.reads_body:
                    request.body = await read_body(reader, request)
                await self.script(request, Wire(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side is gone, or the test is over
        finally:
            writer.close()


async def read_head(reader: asyncio.StreamReader) -> bytes:
    """A head with its empty line; b"" at the end of the connection."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        return error.partial


def split_head(head: bytes) -> tuple[str, list[tuple[str, str]]]:
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return first, [(name, value) for name, _, value in pairs]


async def read_chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int(await reader.readline(), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readline()


async def read_body(reader: asyncio.StreamReader, request: Seen) -> bytes:
    if request.all("Transfer-Encoding"):
        return b"".join([chunk async for chunk in read_chunks(reader)])
    return await reader.readexactly(int("".join(request.all("Content-Length")) or 0))


@asynccontextmanager
async def listening(upstream: Upstream, port: int = 0) -> AsyncIterator[Upstream]:
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", port, limit=2**20)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()


@dataclass
class Proxy:
    port: int
    engine: Engine
    config: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)

    async def raw(self, request: bytes) -> bytes:
        """Sends these bytes, and returns all that comes until the proxy ends the connection."""
        reader, writer = await self.connect()
        writer.write(request)
        try:
            return await reader.read()
        finally:
            writer.close()

    async def ask(
        self, request: str = "GET / HTTP/1.1", head: str = "", body: bytes = b""
    ) -> bytes:
        """One request with a good key, on a connection of its own."""
        common = f"Host: mac.example\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n"
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        start = f"{request}\r\n{common}{length}{head}\r\n"
        return await self.raw(start.encode("latin-1") + body)

    async def begin(
        self, request: str = "POST /v1/chat/completions HTTP/1.1", head: str = ""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Like `ask`, but leaves the answer to be read by the test."""
        reader, writer = await self.connect()
        start = f"{request}\r\nHost: mac.example\r\nAuthorization: Bearer {KEY}\r\n{head}\r\n"
        writer.write(start.encode("latin-1"))
        return reader, writer


def config_file(directory: str | Path, *keys: str) -> Path:
    path = Path(directory, "config.json")
    path.write_text(json.dumps({"apiKeys": list(keys)}))
    return path


@asynccontextmanager
async def proxy_to(
    port: int,
    host: str = "127.0.0.1",
    limits: Limits | None = None,
    upstream_key: Path | None = None,
) -> AsyncIterator[Proxy]:
    """The proxy, in this process, in front of whatever listens on a port."""
    with tempfile.TemporaryDirectory() as directory:
        config = config_file(directory, KEY)
        keys = KeyStore(config)
        settings = Settings(
            keys=keys,
            policy=PlainPolicy(keys),
            upstream=f"http://{host}:{port}",
            upstream_key=upstream_key,
            limits=limits or Limits(),
        )
        engine = create_engine(settings)
        _, own_port = await engine.listen("127.0.0.1", 0)
        try:
            yield Proxy(own_port, engine, config)
        finally:
            engine.close()
            await engine.closed(1)


@asynccontextmanager
async def proxied(
    script: Script, *, reads_body: bool = True
) -> AsyncIterator[tuple[Proxy, Upstream]]:
    """A proxy, and the upstream behind it."""
    async with (
        listening(Upstream(script, reads_body)) as upstream,
        proxy_to(upstream.port) as proxy,
    ):
        yield proxy, upstream


def status(response: bytes) -> int:
    return int(response.split(b" ", 2)[1])


def headers(response: bytes) -> dict[str, str]:
    _, pairs = split_head(response.partition(b"\r\n\r\n")[0])
    return {name.lower(): value for name, value in pairs}


def body(response: bytes) -> bytes:
    return response.partition(b"\r\n\r\n")[2]


def error(response: bytes) -> dict[str, Any]:
    """The error in OpenAI's shape."""
    found: dict[str, Any] = json.loads(body(response))["error"]
    assert set(found) == {"message", "type", "param", "code"}
    return found


async def until(condition: Callable[[], object], seconds: float = 5) -> None:
    """Waits until something is so."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for is outside of our hands
            await asyncio.sleep(0.01)


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "proxy", *args]


@contextmanager
def program(
    *args: str, config: Path, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """`python -m proxy serve` as a process of its own, on a free port."""
    process = preloaded.Popen(
        command("serve", "--config", str(config), "--listen", "127.0.0.1:0", *args),
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
