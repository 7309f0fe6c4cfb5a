"""A request on its way up to llama-swap; its answer comes down through `relay`.

Nothing of the body is kept, decoded or waited for but the part in which `model` is looked for, and
what comes before there is a connection.
"""

import logging

from proxy import headers
from proxy.chunks import LAST, chunk
from proxy.exchange import Forward, Reply, Ticket
from proxy.model import at_first_sight, in_query, search_for
from proxy.parts import Forwarded, Service
from proxy.relay import Relay
from proxy.upstream import Connection
from proxy.walker import Walker
from proxy.wire import Wire

_log = logging.getLogger("proxy.upstream")

MOST_HELD = 262144  # of a body that cannot go up yet, before the client has to wait
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})


class Forwarding:
    """One forwarded request; a `pool.Waiter` until it has a connection."""

    __slots__ = (
        "_engine",
        "_held",
        "_relay",
        "_replay",
        "_route",
        "_search",
        "_transaction",
        "_up",
        "_wire",
        "ticket",
    )

    def __init__(self, transaction: Forwarded, engine: Service, wire: Wire, route: Forward) -> None:
        self._transaction = transaction
        self._engine = engine
        self._wire = wire  # the client's
        self._route = route
        self.ticket: Ticket | None = None  # once it was admitted
        self._held: bytes | bytearray = b""  # what came of the body before it could go up
        self._search: Walker | None = None  # while `model` is looked for
        self._up: Connection | None = None
        self._relay: Relay | None = None  # once the request has begun to go up
        self._replay = b""  # all of the request, if it may be sent a second time

    def begin(self, data: bytes) -> None:
        """Takes the request up, or to where more of its body is needed."""
        transaction = self._transaction
        request = transaction.request
        if self._route.needs_model:
            request.model = in_query(request.query) if request.query else None
            kinds = request.headers.getall("Content-Type", [])
            if model := at_first_sight(request.method, request.query, kinds, data):
                request.model = model
            else:
                self._search = search_for(request.method, request.query, kinds)
        if transaction.expects:
            # The client sends its body only when told to, and is told so only when llama-swap is
            # there: a body is never sent for nothing.
            self._up = self._engine.pool.acquire(self)
            if self._up is not None:
                transaction.tell_to_send()
        if self._search is not None:
            self._look(self._search, data)
        else:
            self._held = data
            self._admit()

    def body(self, data: bytes) -> None:
        """A piece of the body, which may be empty at its end."""
        if self._relay is not None and self._up is not None:
            if self._is_refused(data):
                return
            self._up.write(self._framed(data))
        elif self._search is not None:
            self._look(self._search, data)
        else:
            self._held += data
            if len(self._held) > MOST_HELD:
                self._wire.pause()

    def _look(self, search: Walker, data: bytes) -> None:
        transaction = self._transaction
        if search.feed(data, transaction.body_complete) or (
            len(search.buffer) > self._engine.limits.model_bytes
        ):
            self._search = None
            self._held = search.buffer
            transaction.request.model = search.model
            self._admit()

    def _admit(self) -> None:
        transaction = self._transaction
        request = transaction.request
        if request.caller is None:
            raise AssertionError("admitted without a caller")
        ticket = self._engine.policy.admit(request, request.caller, request.model)
        if isinstance(ticket, Reply):
            transaction.reply(ticket)
            return
        self.ticket = ticket
        if self._up is not None and not self._up.is_fresh():
            self._up.close()  # it ended while the client sent its body
            self._up = None
        if self._up is None and not transaction.expects:  # else it is there, or under way
            self._up = self._engine.pool.acquire(self)
        if self._up is not None:
            self._go_up(self._up, ticket)

    def _is_refused(self, data: bytes) -> bool:
        """Whether the ticket has a word against this piece; llama-swap never has all of it then."""
        transaction, ticket = self._transaction, self.ticket
        why = ticket.body(data, complete=transaction.body_complete) if ticket is not None else ""
        if why:
            policy = self._engine.policy
            transaction.reply(policy.error(400, "bad_request", why, transaction.request))
        return bool(why)

    def _go_up(self, up: Connection, ticket: Ticket) -> None:
        transaction = self._transaction
        request = transaction.request
        if self._is_refused(bytes(self._held)):
            return
        lines = headers.to_upstream(
            request.raw_headers,
            host=self._engine.pool.host,
            client=request.client,
            scheme=request.scheme,
            key=self._engine.pool.key.line,
        )
        coding = b"Transfer-Encoding: chunked\r\n\r\n" if transaction.chunked else b"\r\n"
        first = f"{request.method} {request.target} HTTP/1.1\r\n".encode()
        data = b"".join((first, lines, coding, self._framed(bytes(self._held))))
        self._held = b""
        self._wire.resume()
        if up.used and transaction.body_complete and request.method in REPEATABLE:
            self._replay = data
        self._relay = Relay(
            transaction, self, self._engine.policy, self._wire, ticket, self._route.endings
        )
        up.send(self._relay, data, to_head=request.method == "HEAD")

    def _framed(self, data: bytes) -> bytes:
        """A piece of the body as it goes up."""
        if not self._transaction.chunked:
            return data
        framed = chunk(data) if data else b""
        return framed + LAST if self._transaction.body_complete else framed

    # -- The connection, as the pool reports it

    def connected(self, connection: Connection) -> None:
        """A new one, asked for before."""
        self._up = connection
        transaction = self._transaction
        if self._relay is not None:
            replay, self._replay = self._replay, b""
            connection.send(self._relay, replay, to_head=transaction.request.method == "HEAD")
            return
        transaction.tell_to_send()
        if self.ticket is not None:
            self._go_up(connection, self.ticket)

    def not_connected(self, why: str) -> None:
        """Nobody listens, which is what a restart looks like; clients try again by themselves."""
        transaction = self._transaction
        _log.warning("%s cannot connect: %s", transaction.request.id, why)
        message = (
            "llama-swap is not reachable; it is probably being restarted. Try again in a moment."
        )
        transaction.reply(
            self._engine.policy.error(503, "upstream_unavailable", message, transaction.request)
        )

    # -- The answer, as the relay reports it

    def answered(self) -> None:
        """It has begun."""
        self._replay = b""

    def refused(self) -> bool:
        """llama-swap does not take our key, if we have one. That is no fault of the client's: it
        is being replaced, or the file was lost."""
        transaction, key = self._transaction, self._engine.pool.key
        if key.path is None:
            return False
        key.look()
        _log.warning("%s llama-swap does not take our key", transaction.request.id)
        message = "llama-swap does not take this proxy's key; it is probably being restarted."
        transaction.reply(
            self._engine.policy.error(503, "upstream_unavailable", message, transaction.request)
        )
        return True

    def failed(self, why: str, *, begun: bool) -> None:
        """It is not whole, or there is none; the connection is gone."""
        self._up = None
        transaction = self._transaction
        if transaction.status:
            transaction.break_off(why)
        elif self._replay and not begun:
            # It was idle for a while, and closed by the other side just as it was used again.
            self._engine.pool.connect(self)
        else:
            _log.warning("%s no answer: %s", transaction.request.id, why)
            message = "llama-swap ended the connection or sent an answer that is not HTTP."
            transaction.reply(
                self._engine.policy.error(502, "upstream_error", message, transaction.request)
            )

    # -- What the transaction asks for

    def is_told(self) -> bool:
        """Whether the client has all of an event stream but its formal end. Many do not wait for
        that: they know `[DONE]`."""
        return self._relay is not None and self._relay.is_told()

    def pause_answer(self) -> None:
        """The client takes no more for now."""
        if self._up is not None:
            self._up.wire.pause()

    def resume_answer(self) -> None:
        """The client takes more again."""
        if self._up is not None:
            self._up.wire.resume()

    def end(self, *, clean: bool) -> int:
        """The request is over; unless it is whole, llama-swap is to stop at once. How much of the
        answer's body was sent, without framing."""
        sent = self._relay.sent if self._relay is not None else 0
        self._relay = None
        up, self._up = self._up, None
        if up is not None:
            up.release(clean=clean)
        else:
            self._engine.pool.forget(self)
        self._wire.resume()
        return sent
