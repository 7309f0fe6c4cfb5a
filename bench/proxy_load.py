"""A fake llama-swap and its clients, in one process: raw protocols, so that they cost little.

The upstream is told by a header what to answer: `X-Bench: EVENTS RATE`, a stream of so many events
at so many per second; without it, one plain answer.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import cast

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
ANSWER_BODY = (
    b'{"id":"chatcmpl-1","object":"chat.completion","model":"m","choices":[{"index":0,'
    + (
        b'"message":{"role":"assistant","content":"'
        + b"word " * 150
        + b'"},"finish_reason":"stop"}],'
        b'"usage":{"prompt_tokens":12,"completion_tokens":150,"total_tokens":162}}'
    )
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nServer: llama.cpp\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(ANSWER_BODY), ANSWER_BODY)
)
QUESTION = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"' + (
    b"word " * 180 + b'"}]}'
)
LAST = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","model":"m","choices":[],'
    b'"usage":{"prompt_tokens":12,"completion_tokens":%d,"total_tokens":162}}\n\n'
)


def event(number: int) -> bytes:
    """One token, as llama-server sends it."""
    return (
        b'data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":" w%06d"}}],'
        b'"created":1764000000,"id":"chatcmpl-1","model":"m","object":"chat.completion.chunk"}\n\n'
        % number
    )


def events(count: int) -> bytes:
    """All of a stream."""
    return b"".join(map(event, range(count))) + LAST % count + b"data: [DONE]\n\n"


def chunk(data: bytes) -> bytes:
    """As one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Upstream(asyncio.Protocol):
    """One connection of the fake llama-swap."""

    sent = 0  # events, over all connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.loop = asyncio.get_running_loop()
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found or len(rest) < len(QUESTION):
            return
        self.buffer = b""
        at = head.lower().find(b"x-bench: ")
        if at < 0:
            self.transport.write(ANSWER)
            return
        count, rate = map(int, head[at + 9 :].partition(b"\r\n")[0].split())
        self.transport.write(HEAD)
        self.token(0, count, 1 / rate, self.loop.time())

    def token(self, number: int, count: int, pause: float, due: float) -> None:
        """Sends one event, and sets the clock for the next."""
        if self.transport.is_closing():
            return
        if number == count:
            self.transport.write(chunk(LAST % count) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
            return
        Upstream.sent += 1
        self.transport.write(chunk(event(number)))
        due += pause
        self.loop.call_at(due, self.token, number + 1, count, pause, due)


@dataclass(eq=False)
class Client(asyncio.Protocol):
    """One connection of a client; `ask` sends a request, and `answered` is set by its end."""

    key: str
    got: list[bytes] = field(default_factory=list)
    first: float = 0.0  # when the first byte of the answer came

    async def connect(self, port: int) -> "Client":
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: self, "127.0.0.1", port)
        self.transport = transport
        return self

    def ask(self, count: int = 0, rate: int = 0, head: str = "") -> asyncio.Future[None]:
        """A stream, or a plain answer if `count` is 0; `head` are more header lines."""
        self.got, self.first, self.streams = [], 0.0, count > 0
        self.size = 0
        bench = b"X-Bench: %d %d\r\n" % (count, rate) if count else b""
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %b\r\n"
            b"Accept: application/json\r\nContent-Type: application/json\r\n"
            b"User-Agent: bench/1\r\n%b%bContent-Length: %d\r\n\r\n%b"
            % (self.key.encode(), bench, head.encode(), len(QUESTION), QUESTION)
        )
        return self.answered

    def data_received(self, data: bytes) -> None:
        self.first = self.first or time.perf_counter()
        self.got.append(data)
        self.size += len(data)
        if data.endswith(b"0\r\n\r\n") if self.streams else self.size > len(ANSWER_BODY):
            whole = self.streams or b"".join(self.got).endswith(ANSWER_BODY)
            if whole and not self.answered.done():
                self.answered.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if hasattr(self, "answered") and not self.answered.done():
            self.answered.set_exception(ConnectionError("the proxy ended the connection"))

    def body(self) -> bytes:
        """What came, without framing."""
        rest, parts = b"".join(self.got).partition(b"\r\n\r\n")[2], []
        while rest:
            line, _, rest = rest.partition(b"\r\n")
            size = int(line, 16)
            parts.append(rest[:size])
            rest = rest[size + 2 :]
        return b"".join(parts)
