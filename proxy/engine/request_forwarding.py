"""A request on its way up to llama-swap; its answer comes down through `response_relay`.

Nothing of the body is kept or waited for but what comes before `model`, and before there is a
connection. What must name a model is read to its end as it passes, and the end goes up last: a body
that turns out to have no meaning, or two, is cut before it, and llama-swap reads all of a body
before it does anything.
"""

import logging
from dataclasses import replace
from time import monotonic

from proxy.body.body_queue import BodyQueue
from proxy.body.named_model import Form, at_first_sight, form_of, in_query, without_query
from proxy.engine.flow_control import Wire
from proxy.engine.interfaces import Forwarded, Service
from proxy.engine.response_relay import Relay
from proxy.engine.upstream_connection import Connection
from proxy.exchange import Forward, Reply, Ticket
from proxy.http import request_headers
from proxy.http.chunked import LAST, chunk
from proxy.http.refusal import Refused

_log = logging.getLogger("proxy.upstream")

SMALL = 16384  # of a body that is read at one look
PIECE = 4096  # of a longer one, that is looked at and goes up before others have their turn
MOST_HELD = 262144  # of a body that cannot go up yet, before the client has to wait
MOST_REPEATED = 2**20  # of a request that is kept to be sent a second time
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})


class Forwarding:
    """One forwarded request; an `upstream_pool.Waiter` until it has a connection, and a
    `time_slices.Worker` while its body is read for `model`."""

    __slots__ = (
        "_behind",
        "_chunked",
        "_content",
        "_counted",
        "_engine",
        "_form",
        "_full",
        "_held",
        "_kept",
        "_relay",
        "_replay",
        "_route",
        "_sent",
        "_transaction",
        "_up",
        "_whole",
        "_wire",
        "ticket",
    )

    def __init__(self, transaction: Forwarded, engine: Service, wire: Wire, route: Forward) -> None:
        self._transaction = transaction
        self._engine = engine
        self._wire = wire  # the client's
        self._route = route
        self.ticket: Ticket | None = None  # once it was admitted
        self._form: Form | None = None  # how the body is read, if it is
        self._behind = False  # whether more of it came than there was time to read
        self._content: bytes | None = None  # header lines about the body, if they are ours
        self._counted = 0  # bytes that are held of it
        self._sent = 0  # bytes of it that have gone up
        self._held = BodyQueue()  # what can go up, once there is a connection and a model
        self._whole = False  # whether nothing of the body comes behind that
        self._chunked = False  # whether what goes up is
        self._full = False  # whether llama-swap takes no more for now
        self._up: Connection | None = None
        self._relay: Relay | None = None  # once the request has begun to go up
        self._replay: list[bytes] | None = None  # all that went up, if it may go up once more
        self._kept = 0  # bytes of that

    def begin(self, data: bytes) -> None:
        """Takes the request up, or to where more of its body is needed."""
        transaction = self._transaction
        if self._route.needs_model:
            try:
                data = self._understand(data)
            except Refused as refused:
                self._refuse(refused)
                return
        if transaction.expects:
            # The client sends its body only when told to, and is told so only when llama-swap is
            # there: a body is never sent for nothing.
            self._up = self._engine.pool.acquire(self)
            if self._up is not None:
                transaction.tell_to_send()
        if self._form is not None:
            caller = transaction.request.caller
            if caller is not None and (
                refusal := self._engine.policy.hold(transaction.request, caller)
            ):
                transaction.reply(refusal)
                return
            self.body(data)
        else:
            self._held.add(data)
            self._whole = transaction.body_complete
            self._admit()
            self._more()

    def _understand(self, data: bytes) -> bytes:
        """Finds where the request names its model; the body as it goes up, as far as it is here."""
        request = self._transaction.request
        if request.method in ("GET", "HEAD"):
            self._content = b""
            request.model = in_query(request.query, request.headers)
            return b""
        if self._transaction.body_complete and len(data) <= SMALL:
            found = at_first_sight(request.method, request.query, request.headers, data)
            if found is not None:
                self._content = b"Content-Type: application/json\r\n"
                request.model, data = found
                return data
        without_query(request.query)
        self._form = form_of(request.headers, self._engine.limits)
        self._held = self._form.walker.body.passed
        self._content = b"Content-Type: " + self._form.content_type + b"\r\n"
        return data

    def body(self, data: bytes) -> None:
        """A piece of the body, which may be empty at its end."""
        complete = self._transaction.body_complete
        if self._form is None:
            self._whole = complete
            self._pass(data)
            self._more()
            return
        self._form.walker.feed(data, complete)
        if not self._count():
            return
        if not self._behind:
            self._behind = not self._engine.turns.take(self)
            self._flow()

    def _count(self) -> bool:
        """Counts what is held of this; False if it was too much, and is answered."""
        size = self._held.size if self._form is None else self._form.walker.size
        if size == self._counted:
            return True
        caller = self._transaction.request.caller
        if caller is None or self._engine.holdings.change(caller.label, size - self._counted):
            self._counted = size
            return True
        message = "Too many long requests wait here for their rest. Try again in a moment."
        self._refuse(Refused(503, "too_much_held", message))
        return False

    def _count_sent(self, size: int) -> bool:
        """Counts what goes up: llama-swap keeps all of it, until the request is over."""
        caller = self._transaction.request.caller
        if caller is None or self._engine.sent.change(caller.label, size):
            self._sent += size
            return True
        message = "Too many long requests are under way. Try again in a moment."
        self._refuse(Refused(503, "too_much_held", message))
        return False

    def work(self, until: float) -> bool:
        """Reads what came of the body, and sends up what may go."""
        through = True
        try:
            through = self._send(until) and self._read(until) and self._send(until)
        except Refused as refused:
            self._refuse(refused)
        except Exception as bug:
            self._transaction.failed(bug)
        if through and self._behind:
            self._behind = False
            self._flow()
        self._count()
        return through

    def _read(self, until: float) -> bool:
        form, request = self._form, self._transaction.request
        if form is None:
            return True
        walker = form.walker
        try:
            through = walker.go_on(until)
        except Refused as refused:
            raise form.refusal(refused) from None
        self._whole = walker.over
        if request.model is None and walker.body.model is not None:
            request.model = walker.body.model
            self._admit()
        return through

    def _pass(self, data: bytes) -> None:
        """What may go up, does, or waits for a connection."""
        if self._relay is None or self._up is None:
            self._held.add(data)
            self._flow()
        elif self._held.size or len(data) > SMALL:
            self._held.add(data)  # goes up by and by
        elif (data or self._whole) and not self._is_refused(data):
            self._write(self._framed(data))

    def _more(self) -> None:
        """Goes on with what is held, if it may go up: in turns, as it has to be looked at."""
        if self._held.size and self._relay is not None and not self._behind:
            self._behind = not self._engine.turns.take(self)
            self._flow()

    def _send(self, until: float) -> bool:
        """Sends up what is held, piece by piece; False if more of it is left than there is time."""
        held = self._held
        while held.size and self._relay is not None and self._up is not None and not self._full:
            piece = held.take(PIECE)
            if self._is_refused(piece):
                return True
            self._write(self._framed(piece))
            if held.size and monotonic() > until:
                return False
        return True

    def _flow(self) -> None:
        """Reads from the client what can be dealt with."""
        searching = self._form is not None and self._transaction.request.model is None
        waiting = self._held.size > MOST_HELD and not searching
        if self._full or self._behind or waiting:
            self._wire.pause()
        else:
            self._wire.resume()

    def _refuse(self, refused: Refused) -> None:
        """What has gone up so far is not whole, and llama-swap begins nothing without the end."""
        transaction = self._transaction
        reply = self._engine.policy.error(
            refused.status, refused.code, refused.message, transaction.request
        )
        transaction.reply(replace(reply, headers=[*reply.headers, *refused.headers]))

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
        """Whether the policy or the ticket has a word against this piece, as it goes up: out of its
        coding, that is. llama-swap never has all of it then."""
        if not self._count_sent(len(data)):
            return True
        transaction, ticket = self._transaction, self.ticket
        inspect = transaction.request.inspect
        if inspect is not None and (refusal := inspect(data)) is not None:
            transaction.close = True
            transaction.reply(refusal)
            return True
        why = ticket.body(data, complete=self._all_up()) if ticket is not None else ""
        if why:
            policy = self._engine.policy
            transaction.reply(policy.error(400, "bad_request", why, transaction.request))
        return bool(why)

    def _go_up(self, up: Connection, ticket: Ticket) -> None:
        transaction = self._transaction
        request = transaction.request
        framing = self._framing()
        first = self._held.take(SMALL)
        if self._is_refused(first):
            return
        lines = request_headers.to_upstream(
            request.raw_headers,
            host=self._engine.pool.host,
            client=request.client,
            scheme=request.scheme,
            key=self._engine.pool.key.line + request.up,
            content=self._content,
        )
        target = self._route.target or request.target
        line = f"{request.method} {target} HTTP/1.1\r\n".encode()
        data = b"".join((line, lines, framing, b"\r\n", self._framed(first)))
        once_more = up.used and request.method in REPEATABLE and self._all_up()
        if once_more or self._engine.pool.behind.repeats:
            self._replay = []
            self._keep(data)
        self._relay = Relay(
            transaction, self, self._engine.policy, self._wire, ticket, self._route.endings
        )
        up.send(self._relay, data, to_head=request.method == "HEAD")
        self._flow()

    def _write(self, data: bytes) -> None:
        if self._up is not None:
            self._up.write(data)
            if self._replay is not None:
                self._keep(data)

    def _keep(self, data: bytes) -> None:
        self._kept += len(data)
        if self._replay is not None and self._kept <= MOST_REPEATED:
            self._replay.append(data)
        else:
            self._replay = None

    def _framing(self) -> bytes:
        """How the end of the body is told; without that, what goes up is none."""
        if self._content == b"":
            return b""
        if self._content is not None and self._whole:
            self._chunked = False
            return b"Content-Length: %d\r\n" % self._held.size
        self._chunked = self._content is not None or self._transaction.chunked
        return b"Transfer-Encoding: chunked\r\n" if self._chunked else b""

    def _framed(self, data: bytes) -> bytes:
        """A piece of the body as it goes up."""
        if not self._chunked:
            return data
        framed = chunk(data) if data else b""
        return framed + LAST if self._all_up() else framed

    def _all_up(self) -> bool:
        """Whether nothing comes behind what goes up now."""
        return self._whole and not self._held.size

    # -- The connection, as the pool reports it

    def connected(self, connection: Connection) -> None:
        """A new one, asked for before."""
        self._up = connection
        transaction = self._transaction
        if self._relay is not None:
            replay, self._replay = b"".join(self._replay or ()), None
            connection.send(self._relay, replay, to_head=transaction.request.method == "HEAD")
            return
        transaction.tell_to_send()
        if self.ticket is not None:
            self._go_up(connection, self.ticket)
            self._more()

    def not_connected(self, why: str) -> None:
        """Nobody listens, which is what a restart looks like; clients try again by themselves."""
        transaction = self._transaction
        _log.warning("%s cannot connect: %s", transaction.request.id, why)
        name = self._engine.pool.behind.name
        message = f"{name} is not reachable; it is probably being restarted. Try again in a moment."
        transaction.reply(
            self._engine.policy.error(503, "upstream_unavailable", message, transaction.request)
        )

    # -- The answer, as the relay reports it

    def answered(self) -> None:
        """It has begun."""
        self._replay = None

    def refused(self) -> bool:
        """llama-swap does not take our key, if we have one. That is no fault of the client's: it
        is being replaced, or the file was lost."""
        transaction, key = self._transaction, self._engine.pool.key
        if key.path is None:
            return False
        key.look()
        whose = self._engine.pool.behind.key_of
        _log.warning("%s %s does not take our key", transaction.request.id, whose)
        message = f"{whose} does not take this proxy's key; it is probably being restarted."
        transaction.reply(
            self._engine.policy.error(503, "upstream_unavailable", message, transaction.request)
        )
        return True

    def answered_here(self, reply: Reply) -> None:
        """It is not passed on: this is sent instead."""
        self._transaction.reply(reply)

    def failed(self, why: str, *, begun: bool) -> None:
        """It is not whole, or there is none; the connection is gone."""
        self._up = None
        transaction = self._transaction
        if transaction.status:
            transaction.break_off(why)
        elif self._replay is not None and not begun and self._all_up():
            # It was idle for a while, and closed by the other side just as it was used again; or
            # HAProxy took the server out that had it.
            self._engine.pool.connect(self)
        else:
            _log.warning("%s no answer: %s", transaction.request.id, why)
            name = self._engine.pool.behind.name
            message = f"{name} ended the connection or sent an answer that is not HTTP."
            transaction.reply(
                self._engine.policy.error(502, "upstream_error", message, transaction.request)
            )

    def pause_body(self) -> None:
        """llama-swap is slower than the client."""
        self._full = True
        self._flow()

    def resume_body(self) -> None:
        """It takes more again."""
        self._full = False
        self._more()
        self._flow()

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
            up.release(clean=clean and self._all_up())
        else:
            self._engine.pool.forget(self)
        if self._behind:
            self._engine.turns.leave(self)
        self._form = None  # nothing is passed or waited for any more
        self._held.clear()
        self._count()
        self._count_sent(-self._sent)
        self._behind = self._full = False
        self._wire.resume()
        return sent
