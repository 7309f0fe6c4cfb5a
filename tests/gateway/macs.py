"""Small Macs for a gateway in tests: what each of their proxies would answer, and what it was
asked. They live in one event loop in a thread of its own, so that a test may wait."""

import asyncio
import json
import ssl
import threading
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WAIT = 10.0


@dataclass
class Asked:
    """One request that came to a Mac."""

    mac: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    ended: threading.Event = field(default_factory=threading.Event)
    """Set when the other end has left, or all was answered."""
    _loop: asyncio.AbstractEventLoop | None = None
    _go_on: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Let a held answer go on."""
        assert self._loop
        self._loop.call_soon_threadsafe(self._go_on.set)


class Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(WAIT)

    def close(self) -> None:
        self.run(self._cancelled())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(WAIT)
        self.loop.close()

    @staticmethod
    async def _cancelled() -> None:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


class FakeMac:
    """A Mac's proxy and its agent. `status` is what requests get; `held` are answered only when
    released, `streams` send their first event and wait then; `silent` says nothing to anybody, as
    one without power. Models that are `cold` are not loaded; a `misplaced` word
    is the answer to whether they are."""

    def __init__(self, name: str, loop: Loop, pair: Path | None = None) -> None:
        self.name, self._loop, self._pair = name, loop, pair
        self.port = self.agent_port = 0
        self.asked: list[Asked] = []
        self._servers: list[asyncio.Server] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self.reset()

    def reset(self) -> None:
        self.status, self.agent, self.ready = 200, "ready up", True
        self.cold: set[str] = set()
        self.held = self.streams = self.silent = self.drops = False
        self.misplaced = ""
        self.asked = []

    def start(self) -> None:
        self._loop.run(self._start())

    def stop(self) -> None:
        """Its end, as a process that is killed: connections are reset, and nobody listens."""
        self._loop.run(self._stop())

    async def _start(self) -> None:
        context = None
        if self._pair:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._pair / "cert.pem", self._pair / "key.pem")
        serve = asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=context, limit=2**24)
        server = await serve
        self.port = server.sockets[0].getsockname()[1]
        told = await asyncio.start_server(self._tell, "127.0.0.1", self.agent_port)
        self.agent_port = told.sockets[0].getsockname()[1]
        self._servers = [server, told]

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        self._servers = []

    async def _tell(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.silent:
            await asyncio.sleep(WAIT)
        said = self.agent
        with suppress(OSError):
            verb, *rest = (await reader.readline()).decode().split() or [""]
            if verb == "warm":
                name, percent = bytes.fromhex(rest[0]).decode(), rest[1]
                warm = f"ready up {percent if name in self.cold else 100}%"
                said = self.misplaced or warm
            writer.write(f"{said}\n".encode())
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if self.silent:
                    await asyncio.sleep(WAIT)
                await self._answer(head, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        method, path, _ = first.split(" ")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
        if path == "/livez":
            status = "200 OK" if self.ready else "503 Not"
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
            return
        body = await self._body(headers, reader)
        one = Asked(self.name, method, path, headers, body, _loop=self._loop.loop)
        self.asked.append(one)
        watch = asyncio.create_task(self._until_gone(reader, one))
        try:
            await self._send(one, writer)
        finally:
            if self.held or self.streams:
                await watch
            watch.cancel()
            one.ended.set()

    async def _body(self, headers: dict[str, str], reader: asyncio.StreamReader) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await reader.readline(), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
            return body
        return await reader.readexactly(int(headers.get("content-length", "0")))

    async def _until_gone(self, reader: asyncio.StreamReader, one: Asked) -> None:
        """A held connection is used for one request: what comes next is its end."""
        with suppress(OSError):
            await reader.read(1)
        one.ended.set()
        one._go_on.set()

    async def _send(self, one: Asked, writer: asyncio.StreamWriter) -> None:
        if self.held:
            await one._go_on.wait()
        if self.drops:
            writer.transport.abort()
            raise ConnectionError
        kind = "text/event-stream" if self.streams else "application/json"
        code = {200: "", 429: "rate_limit_exceeded", 503: "overloaded"}.get(self.status, "other")
        answer = {"served": self.name} | ({"error": {"code": code}} if code else {})
        data = json.dumps(answer).encode()
        close = "Connection: close\r\n" if self.held or self.streams else ""
        start = f"HTTP/1.1 {self.status} X\r\nContent-Type: {kind}\r\n{close}"
        if not self.streams:
            end = f"Content-Length: {len(data)}\r\n\r\n".encode()
            writer.write(start.encode() + end + data)
        else:
            writer.write(start.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
            for event in (b"data: one\n\n", b"data: two\n\ndata: [DONE]\n\n"):
                writer.write(b"%x\r\n%s\r\n" % (len(event), event))
                await writer.drain()
                if event == b"data: one\n\n":
                    await one._go_on.wait()
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        if close:
            writer.close()
