"""A connection to llama-swap, read without a task or a copy per token.

`data_received` is the fast path of the program: one read of llama-swap's becomes one write to the
client. It follows the framing of the answer only to know where the answer ends.
"""

import asyncio
import select
from typing import Protocol, cast

from proxy.engine.flow_control import Wire
from proxy.http.chunked import SIZES, ChunkError, ChunkWalker
from proxy.http.response_head import AnswerHead, BadAnswer, Framing, parse

LONGEST_HEAD = 65536
FRESH_SECONDS = 0.05


class Owner(Protocol):
    """Whom an answer is for. Every call may end in `release`."""

    def answer_head(self, head: AnswerHead, *, more: bool) -> None:
        """An answer begins; with `more`, `answer_data` follows at once."""

    def answer_data(self, raw: bytes, content: bytes, done: bool) -> None:
        """Bytes of the body as they came, without the last chunk, and the same without framing."""

    def answer_failed(self, why: str, *, begun: bool) -> None:
        """The answer is not whole; `begun` if any byte of it came. Released already."""

    def pause_body(self) -> None:
        """llama-swap does not take what is written as fast as it comes."""

    def resume_body(self) -> None: ...


class Keeper(Protocol):
    """Who keeps connections that are idle."""

    loop: asyncio.AbstractEventLoop

    def put(self, connection: "Connection") -> None:
        """Back, and idle."""

    def drop(self, connection: "Connection") -> None:
        """It ended."""


class Connection(asyncio.Protocol):
    """One connection; belongs to the pool, or to the owner of one request."""

    def __init__(self, pool: Keeper) -> None:
        self._pool = pool
        self.transport: asyncio.Transport
        self.wire: Wire
        self._alive = select.poll()
        self._eof = False
        self._expect(None, to_head=False)
        self.used = False  # for a request before the current one
        self.since = 0.0  # when it became idle

    def _expect(self, owner: Owner | None, *, to_head: bool) -> None:
        """Ready for the head of an answer."""
        self._owner = owner
        self._to_head = to_head
        self._head = b""
        self._framing: Framing | None = None  # None: the head is not complete
        self._walker: ChunkWalker | None = None
        self._left = 0
        self._begun = False
        self._reusable = False

    # -- What owners do

    def send(self, owner: Owner, data: bytes, *, to_head: bool) -> None:
        """Begins a request: its head, and what is there of its body."""
        self._expect(owner, to_head=to_head)
        self.transport.write(data)

    def write(self, data: bytes) -> None:
        """More of the body."""
        self.transport.write(data)

    def release(self, *, clean: bool) -> None:
        """The owner is done. Unless request and answer are whole, llama-swap is to stop now."""
        self._owner = None
        if clean and self._reusable and not self.transport.is_closing():
            self.wire.resume()  # a paused connection would never see that it was closed
            self.used = True
            self._pool.put(self)
        else:
            self.transport.abort()

    def is_fresh(self) -> bool:
        """Whether an idle connection is still one: readable would be its end, or nonsense."""
        if self.transport.is_closing():
            return False
        # Right after its last answer the event loop has just looked; a system call saved.
        just_now = self._pool.loop.time() - self.since < FRESH_SECONDS
        return just_now or not self._alive.poll(0)

    def close(self) -> None:
        """Ends an idle connection."""
        self.transport.close()

    # -- What the event loop does

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport = cast(asyncio.Transport, transport)
        self.wire = Wire(transport)
        self._alive.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        owner, walker = self._owner, self._walker
        if owner is None:  # idle, and yet it speaks
            self._pool.drop(self)
            self.transport.abort()
        elif walker is not None:
            if walker.between:
                # Mostly it is a token, one event and one chunk in one read: told here at one
                # glance, without a call, and passed on without a copy.
                line = data.find(b"\r\n", 0, 5)
                size = SIZES.get(data[:line])
                if size and line + size + 4 == len(data) and data.endswith(b"\r\n"):
                    owner.answer_data(data, data[line + 2 : -2], False)
                    return
            try:
                raw = walker.feed(data)
            except ChunkError as error:
                self._fail(str(error))
                return
            if walker.done:
                self._reusable = self._reusable and not walker.surplus
            owner.answer_data(raw, walker.content, walker.done)
        elif self._framing is None:
            self._begun = True
            self._read_head(owner, self._head + data if self._head else data)
        else:
            self._plain(owner, data)

    def _plain(self, owner: Owner, data: bytes) -> None:
        if self._framing is Framing.CONNECTION:
            owner.answer_data(data, data, False)
            return
        self._left -= len(data)
        if self._left < 0:  # more than it said, or than a HEAD or 304 may have
            data = data[: self._left]
            self._reusable = False
        owner.answer_data(data, data, self._left <= 0)

    def _read_head(self, owner: Owner, data: bytes) -> None:
        while True:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                if len(data) > LONGEST_HEAD:
                    self._fail("a head without an end")
                self._head = data
                return
            try:
                head = parse(data[:end], to_head=self._to_head)
            except BadAnswer as error:
                self._fail(f"not HTTP: {error}")
                return
            data = data[end + 4 :]
            if head.status >= 200:
                break
            if head.status == 101:  # nobody asked for that
                self._fail("switches protocols")
                return
        self._head = b""
        self._framing = head.framing
        self._left = head.length
        self._reusable = head.reusable
        if head.framing is Framing.CHUNKED:
            self._walker = ChunkWalker()
        more = bool(data) or head.framing is Framing.NONE
        owner.answer_head(head, more=more)
        if more and self._owner is owner:
            if self._walker is not None:
                self.data_received(data)
            else:
                self._plain(owner, data)

    def _fail(self, why: str) -> None:
        owner, self._owner = self._owner, None
        self.transport.abort()
        if owner is not None:
            owner.answer_failed(why, begun=self._begun)

    def eof_received(self) -> None:
        self._eof = True

    def connection_lost(self, exc: Exception | None) -> None:
        owner, self._owner = self._owner, None
        if owner is None:
            self._pool.drop(self)
        elif self._framing is Framing.CONNECTION and exc is None and self._eof:
            owner.answer_data(b"", b"", True)
        else:
            owner.answer_failed("llama-swap ended the connection", begun=self._begun)

    def pause_writing(self) -> None:
        if self._owner is not None:
            self._owner.pause_body()

    def resume_writing(self) -> None:
        if self._owner is not None:
            self._owner.resume_body()
