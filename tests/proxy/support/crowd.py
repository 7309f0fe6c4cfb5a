"""A crowd of clients with streams, and the upstream that answers them and is restarted at times.

Raw protocols, so that a thousand streams cost little. Every stream has a number of its own in every
event, so a byte that belongs to another one is noticed.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
BODY = b'{"model": "m", "stream": true}'
RATE = 4  # events per second of each stream


def event(stream: int, number: int) -> bytes:
    """One token."""
    pad = b"x" * (stream * 7 + number * 13 & 127)
    return b'data: {"choices":[{"delta":{"content":"%d-%d-%b"}}]}\n\n' % (stream, number, pad)


def end(count: int) -> bytes:
    """What is told behind the last one."""
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":%d}}\n\n' % count
    return usage + b"data: [DONE]\n\n"


def whole(stream: int, count: int) -> bytes:
    """All of a stream."""
    return b"".join(event(stream, number) for number in range(count)) + end(count)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Server(asyncio.Protocol):
    """One connection to the upstream."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.loop = asyncio.get_running_loop()
        self.buffer = b""
        OPEN.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        OPEN.discard(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found or len(rest) < len(BODY):
            return
        self.buffer = b""
        told = head.partition(b"X-Stream: ")[2].partition(b"\r\n")[0]
        stream, count = map(int, told.split())
        self.transport.write(HEAD)
        self.token(stream, 0, count)

    def token(self, stream: int, number: int, count: int) -> None:
        if self.transport.is_closing():
            return
        if number == count:
            self.transport.write(chunk(end(count)) + b"0\r\n\r\n")
            return
        self.transport.write(chunk(event(stream, number)))
        self.loop.call_later(1 / RATE, self.token, stream, number + 1, count)


OPEN: set[Server] = set()


@dataclass
class Stream:
    """One request, and what came of it."""

    key: str
    number: int
    count: int
    began: float
    ended: float = 0.0
    raw: bytearray = field(default_factory=bytearray)
    status: int = 0
    clean: bool = False

    def body(self) -> bytes:
        """Without framing, as far as it came."""
        rest = bytes(self.raw.partition(b"\r\n\r\n")[2])
        parts, at = [], 0
        while (eol := rest.find(b"\r\n", at)) >= 0:
            size = int(rest[at:eol], 16)
            parts.append(rest[eol + 2 : eol + 2 + size])
            at = eol + 2 + size + 2
        return b"".join(parts)

    def fault(self) -> str | None:
        """What is wrong with what was delivered."""
        if self.status != 200:
            return None
        body, wanted = self.body(), whole(self.number, self.count)
        if not wanted.startswith(body):
            return f"stream {self.number}: not what was sent: {body[-200:]!r}"
        if self.clean and body != wanted:
            return f"stream {self.number}: ended cleanly after {len(body)} of {len(wanted)} bytes"
        return None


class Client(asyncio.Protocol):
    """One connection of a client, for one stream after the other."""

    def __init__(self) -> None:
        self.stream: Stream | None = None
        self.over: asyncio.Future[None]
        self.alive = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def ask(self, stream: Stream) -> "asyncio.Future[None]":
        self.stream = stream
        self.over = asyncio.get_running_loop().create_future()
        self.transport.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n"
            b"Content-Type: application/json\r\nX-Stream: %d %d\r\nContent-Length: %d\r\n\r\n%b"
            % (stream.key.encode(), stream.number, stream.count, len(BODY), BODY)
        )
        return self.over

    def data_received(self, data: bytes) -> None:
        stream = self.stream
        if stream is None or self.over.done():
            raise AssertionError(f"bytes that nobody asked for: {data!r}")
        stream.raw += data
        if not stream.status and b"\r\n\r\n" in stream.raw:
            stream.status = int(stream.raw[9:12])
        if stream.status == 200:
            stream.clean = data.endswith(b"0\r\n\r\n") and stream.raw.endswith(b"\r\n0\r\n\r\n")
        elif stream.status:
            head, _, body = stream.raw.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            stream.clean = len(body) >= length
        if stream.clean:
            self.over.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.alive = False
        if self.stream is not None and not self.over.done():
            self.over.set_result(None)


@dataclass
class ConnectionShares:
    """So many clients, each busy until told to stop."""

    port: int
    keys: Callable[[], list[str]]
    chance: random.Random = field(default_factory=lambda: random.Random(3))
    done: list[Stream] = field(default_factory=list)
    running: set[int] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    ending: bool = False

    async def client(self) -> None:
        """One of them."""
        loop, client = asyncio.get_running_loop(), None
        await asyncio.sleep(self.chance.random() * 3)
        while not self.ending:
            if client is None or not client.alive or self.chance.random() < 0.2:
                if client is not None:
                    client.transport.abort()
                _, client = await loop.create_connection(Client, "127.0.0.1", self.port)
            number = len(self.done) * 1000 + len(self.running)
            count = self.chance.randint(1, 50)
            stream = Stream(self.chance.choice(self.keys()), number, count, loop.time())
            self.running.add(id(stream))
            leaves = self.chance.random() < 0.05
            limit = self.chance.random() * 5 if leaves else 60
            try:
                await asyncio.wait_for(client.ask(stream), limit)
            except TimeoutError:
                if not leaves:
                    self.faults.append(f"stream {number} hangs: {bytes(stream.raw[-200:])!r}")
                client.transport.abort()
                client.alive = False
            self.running.discard(id(stream))
            stream.ended = loop.time()
            if fault := stream.fault():
                self.faults.append(fault)
            stream.raw.clear()
            self.done.append(stream)
            if stream.status != 200:
                await asyncio.sleep(self.chance.random())
        if client is not None:
            client.transport.abort()
