"""A client's connection: one request after the other, none begun before the last is answered.

What a client may take is bounded: its time for a head, between requests and for the progress of a
body; what it sends ahead; what it leaves unread. Before a good key came it is a stranger, whose
bounds are narrow and do not move with each byte. No timer per request: the engine's clock calls
`tick` once a second.
"""

import asyncio
from time import monotonic
from typing import cast

from proxy.engine.client_address import source_of
from proxy.engine.flow_control import LINGER_SECONDS, TURN, Wire
from proxy.engine.interfaces import Server
from proxy.engine.listening_sockets import plain_address
from proxy.engine.slow_readers import Patience
from proxy.engine.transaction import Transaction
from proxy.exchange import Reply
from proxy.http.malformed_head import Malformed
from proxy.http.request_parser import Head, RequestParser
from proxy.http.response_head import of_reply

FIRST_LOOK, LAST_LOOK = 0.05, 1.0  # seconds between looks at one that may be gone
MOST_AHEAD = 65536  # bytes of requests sent before the current one is answered
MOST_DISCARDED = 65536  # bytes of a refused body that are read to keep the connection
PIECE = 4096  # of what has to be taken apart, before others have their turn
LEAST_RATE = 240  # bytes a second of a body, beyond the time that it has without any (as Kestrel)


class ClientConnection(asyncio.Protocol):
    """One connection, and the transaction that is open on it; a `time_slices.Worker` while there is
    something to be taken apart: heads, or a body in chunks, which may be of a byte each."""

    def __init__(self, engine: Server) -> None:
        self.engine = engine
        self.transaction: Transaction | None = None
        self.last = False  # no request is read behind the current one
        self.half_closed = False
        self.scheme = "http"
        self.address = self.source = "unknown"
        self.known = False  # whether a good key came
        self.transport: asyncio.Transport
        self.wire: Wire
        self._parser = RequestParser(engine.loop, engine.limits.stranger_head_bytes)
        self._came = bytearray()  # what is to be taken apart
        self._surplus = False  # whether more than that came, and was not kept
        self._chunked = False  # the body of the current request
        self._working = False
        self._queued = False  # for a turn
        self._full = False
        self._patience = Patience()
        self._lingers = False
        self._discarded = 0
        self._deadline = 0.0
        self._wait(engine.limits.idle_seconds)

    # -- What the event loop does

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport = cast(asyncio.Transport, transport)
        self.wire = Wire(transport)
        if peer := transport.get_extra_info("peername"):
            self.address = plain_address(peer[0])
            self.source = source_of(self.address)
        if transport.get_extra_info("sslcontext"):
            self.scheme = "https"
        if not self.engine.enter(self):
            if self.engine.is_flooded():
                self.wire.abort()
                return
            self._refuse(self._too_many(), "too_many_connections")

    def data_received(self, data: bytes) -> None:
        if self._lingers:
            return
        if self._parser.complete:
            if self.transaction is not None or self._full:
                self._keep(data)
                return
        elif not self._chunked:
            self._body(data)
            return
        self._came += data
        self._go_on()

    def eof_received(self) -> bool:
        """The client sends no more, or is gone, which looks the same (decision 0012). True keeps
        the connection for what it still takes."""
        if self.transaction is None:
            self.half_closed = self._queued and self.scheme == "http"
            return self.half_closed
        if self.scheme == "https" or not self.transaction.may_outlive_requests():
            self.last = True
            self.transaction.client_gone()
            return False
        self.half_closed = True
        self._watch(FIRST_LOOK)
        return True

    def _watch(self, delay: float) -> None:
        """Looks whether it is gone, again and again: nobody reads what would tell."""
        if not self.transport.is_closing():
            if self.wire.is_reset():
                self.wire.abort()
            else:
                self.engine.loop.call_later(delay, self._watch, min(2 * delay, LAST_LOOK))

    def connection_lost(self, exc: Exception | None) -> None:
        self.engine.leave(self)
        self.engine.turns.leave(self)
        if self.transaction is not None:
            self.transaction.client_gone()

    def pause_writing(self) -> None:
        self._full = True
        self._patience.full(self.engine.loop.time(), self.transport.get_write_buffer_size())
        if self.transaction is not None:
            self.transaction.client_full()

    def resume_writing(self) -> None:
        self._full = False
        self._patience.drained(self.engine.loop.time(), self.transport.get_write_buffer_size())
        if self.transaction is not None:
            self.transaction.client_drained()
        elif self._parser.complete and not self._lingers:
            self._go_on()

    # -- Requests in

    def _go_on(self) -> None:
        """Takes apart what came, now or in turns; until then even its end is not heard of."""
        if not (self._working or self._queued or self.engine.turns.take(self)):
            self._queued = True
            self.wire.pause(TURN)

    def work(self, until: float) -> bool:
        """Takes more of it apart; a loop, as each answer beginning the next would be thousands of
        calls deep."""
        self._working = True
        try:
            while self._piece():
                if monotonic() >= until:
                    return False
        finally:
            self._working = False
        if self._queued:
            self._queued = False
            self.wire.resume(TURN)
        return True

    def _piece(self) -> bool:
        """One request, or a piece of something longer; whether more can follow at once."""
        if self._lingers or self.transport.is_closing():
            return False
        if self._parser.complete:
            return self.transaction is None and not self._full and self._next()
        if self._came:
            self._body(self._take(dear=self._chunked))
        return bool(self._came) or self._parser.complete

    def _take(self, *, dear: bool) -> bytes:
        """What came, or some of it, if it may be chunks."""
        most = PIECE if dear else len(self._came)
        piece = bytes(self._came[:most])
        del self._came[:most]
        return piece

    def _next(self) -> bool:
        """Begins the next request, if it is there."""
        began_before = self._parser.head_bytes
        dear = self._parser.begun or b"chunked" in self._came.lower()
        try:
            head = self._parser.head(b"" if self._parser.rest else self._take(dear=dear))
        except Malformed as error:
            self._malformed(error)
            return False
        if head is not None:
            self._begin(head)
            return bool(self._came) or self.transaction is None
        if self._came:
            return True
        if self.half_closed:
            self._end()
        elif self._parser.head_bytes and not began_before:
            before = self._deadline
            self._wait(self.engine.limits.head_seconds)
            if not self.known:  # its time runs since it came, or was answered
                self._deadline = min(before, self._deadline)
        return False

    def _begin(self, head: Head) -> None:
        expects = head.headers.get("Expect", "").lower() == "100-continue"
        data = self._parser.body()
        # Trailers behind a chunked body would be read as headers of the next request (aiohttp
        # 3.14.5), and what came behind an offer to upgrade is lost: such requests are the last.
        old = head.version < (1, 1)
        lost = head.upgrade and (self._parser.rest or not self._parser.complete)
        self._chunked = head.chunked
        self.last = old or head.should_close or head.chunked or lost or self.last
        transaction = self.transaction = Transaction(self, self.engine, head, expects=expects)
        self._wait(self.engine.limits.body_seconds)
        try:
            transaction.begin(data, self._parser.complete)
        except Exception as bug:
            transaction.failed(bug)

    def _body(self, data: bytes) -> None:
        try:
            content = self._parser.body(data)
        except Malformed:
            if self.transaction is not None:
                self.transaction.malformed()
            else:
                self._end(linger=True)  # it has its answer
            return
        if self.transaction is not None:
            transaction = self.transaction
            if self.known:
                most = self.engine.now + self.engine.limits.body_seconds
                self._deadline = min(most, self._deadline + len(data) / LEAST_RATE)
            try:
                transaction.body(content, self._parser.complete)
            except Exception as bug:
                transaction.failed(bug)
            return
        self._discarded += len(data)
        if self._parser.complete:
            self._go_on()
        elif self._discarded > MOST_DISCARDED:
            self._end()

    def _keep(self, data: bytes) -> None:
        """Requests that came early. Too many are not read, but the client is listened to still:
        nobody would notice it leave."""
        if self.last:
            return
        self._came += data
        if len(self._came) > MOST_AHEAD:
            self.last = self._surplus = True
            self._came.clear()

    def _malformed(self, error: Malformed) -> None:
        if self.transaction is not None:
            self.transaction.malformed()
            return
        reply = self.engine.policy.error(error.status, error.code, error.message, None)
        self._refuse(reply, error.code)

    def know(self) -> None:
        """A good key came with a request; the connection is a stranger's until then."""
        if not self.known:
            self.known = True
            self._parser.limit = self.engine.limits.head_bytes
            self._wait(self.engine.limits.body_seconds)
            self.engine.know(self)

    # -- Answers out

    def over(self, *, close: bool) -> None:
        """The answer is written, or there will be none."""
        self.transaction = None
        self.engine.over()
        if self.transport.is_closing():
            return
        self._wait(self.engine.limits.idle_seconds)
        self._discarded = 0
        if close or self.last:
            self._end()
        elif self._parser.complete and not self._full and (self._parser.rest or self._came):
            self._go_on()
        elif self.half_closed and not self._working:
            self._end()

    def _refuse(self, reply: Reply, why: str) -> None:
        """Answers what is no request, or came on a connection too many."""
        request_id = self.engine.new_id()
        self.engine.policy.refused(request_id, self.address, reply.status, why)
        to_head = self._parser.asks_for_head
        self.wire.write(of_reply(reply, request_id, to_head=to_head, close=True))
        self._end(linger=True)

    def _end(self, *, linger: bool = False) -> None:
        """Ends the connection behind what was written.

        What the client still sends is read and forgotten for a while: closing over unread bytes
        resets the connection, and the client might not get to read the answer.
        """
        if not (linger or self._came or self._surplus) and self._parser.complete:
            self.wire.close()
        elif not self._lingers:
            self._lingers = True
            self._deadline = self.engine.now + LINGER_SECONDS
            self._came.clear()
            self.wire.end_sending()

    def break_off(self, *, reset: bool, flush: bool = False) -> None:
        """Ends the connection so that an unfinished answer cannot be taken for a finished one."""
        self.last = True
        self.wire.break_off(reset=reset, flush=flush)

    def _too_many(self) -> Reply:
        message = "Too many connections. Try again in a moment."
        return self.engine.policy.error(503, "too_many_connections", message, None)

    @property
    def spare(self) -> bool:
        """Whether nothing is waited for on it but its client: also one with a key that takes its
        time for a body."""
        return self.transaction is None or not self.transaction.body_complete

    def make_room(self) -> None:
        """Ends it at once: with a word if a request has begun, in silence if it is idle."""
        if self.transaction is not None:
            self.transaction.abort("broken off: too many connections")
        elif self.scheme == "https" or self.transport.get_write_buffer_size():
            self.wire.abort()  # there is no quick end to these
        elif self._parser.head_bytes and not self.engine.is_flooded():
            self._refuse(self._too_many(), "made_room")
        else:
            self.wire.close()

    # -- Time

    def _wait(self, seconds: float) -> None:
        """For so long from now on; for a stranger not for long."""
        if not self.known:
            seconds = min(seconds, self.engine.limits.stranger_seconds)
        self._deadline = self.engine.now + seconds

    def tick(self, now: float) -> None:
        """Ends what takes too long."""
        wire, limits = self.wire, self.engine.limits
        send, end = limits.send_seconds, limits.idle_seconds
        if not self.known:
            send, end = min(send, limits.stranger_seconds), min(end, limits.stranger_seconds)
        if wire.is_stuck(now, send, end):
            wire.abort()
        elif self._full and self._patience.used(now, wire.waiting) > send:
            wire.abort()  # it takes its answer drop by drop
        elif wire.paused and not self._queued:
            self._deadline = now + limits.body_seconds
            if wire.has_left():
                wire.abort()
        elif now > self._deadline:
            if not self.transport.is_closing():
                self._expire()
            elif not self.known and now > self._deadline + limits.stranger_seconds:
                wire.abort()  # it takes the rest of its answer drop by drop

    def _expire(self) -> None:
        if self._lingers:
            self.wire.abort()
        elif self.transaction is not None:
            self.transaction.expire()
        elif self._parser.head_bytes:
            message = "The request took too long to arrive."
            reply = self.engine.policy.error(408, "request_timeout", message, None)
            self._refuse(reply, "request_timeout")
        else:
            self.wire.close()

    def close(self) -> None:
        """Ends an idle connection; one with an open transaction is aborted."""
        if self.transaction is not None:
            self.transaction.abort("broken off: the proxy ends")
        else:
            self.wire.close()
