"""One request on its way: past the policy, up to llama-swap, and the answer down to the client.

Nothing is buffered, decoded or waited for but the part of a body in which `model` is looked for.
Whichever side goes away takes the other with it. Calls come from two sides, the client's
connection (`begin`, `body`, `client_...`) and llama-swap's (the methods of `upstream.Owner`).
"""

import logging
import time
from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING

from proxy import answer, headers
from proxy.answer import AnswerHead, Framing
from proxy.chunks import LAST, chunk
from proxy.exchange import Caller, Forward, Local, Outcome, Reply, Request, Ticket
from proxy.local import LocalAnswer, internal_error
from proxy.model import in_query, search_for
from proxy.parser import Head
from proxy.upstream import Connection
from proxy.walker import Walker

if TYPE_CHECKING:
    from proxy.client import ClientConnection

_log = logging.getLogger("proxy.upstream")

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
MOST_HELD = 262144  # of a body that cannot go up yet, before the client has to wait
RECENT = 12  # pieces of a stream in which its ending is looked for
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})


class Passing(Enum):
    """What happens to the bytes of an answer."""

    AS_IS = auto()
    WITHOUT_CHUNKS = auto()  # for a client that speaks HTTP/1.0
    IN_CHUNKS = auto()  # the end of llama-swap's connection is the end of its answer


class Exchange:
    """One request and its answer."""

    __slots__ = (
        "_as_is",
        "_body_bytes",
        "_chunked_down",
        "_held",
        "_local",
        "_passing",
        "_recent",
        "_replay",
        "_route",
        "_search",
        "_sent",
        "_started_up",
        "_status",
        "_ticket",
        "_unsent",
        "_up",
        "_write",
        "body_complete",
        "chunked",
        "client",
        "close",
        "engine",
        "expects",
        "old",
        "over",
        "policy",
        "request",
    )

    def __init__(self, client: "ClientConnection", head: Head, expects: bool) -> None:
        engine = client.engine
        target = head.path
        path, _, query = target.partition("?")
        self.client = client
        self.engine = engine
        self.policy = engine.policy
        self.request = Request(
            id=engine.new_id(),
            method=head.method,
            target=target,
            path=path,
            query=query,
            headers=head.headers,
            raw_headers=head.raw_headers,
            version=head.version,
            client=client.address,
            scheme=client.scheme,
            started=time.monotonic(),
            abort=self.abort,
        )
        self.chunked = head.chunked
        self.old = head.version < (1, 1)
        self.expects = expects and not self.old
        self.close = False  # whether the client's connection ends with this
        self.over = False
        self.body_complete = False
        self._body_bytes = 0
        self._held = bytearray()  # what came before it could go up
        self._route: Forward | None = None
        self._search: Walker | None = None
        self._local: LocalAnswer | None = None
        self._ticket: Ticket | None = None
        self._up: Connection | None = None
        self._started_up = False  # whether the request has begun to go up
        self._replay = b""  # all of the request, if it may be sent a second time
        self._status = 0  # of the answer, once its head was sent
        self._sent = 0
        self._passing = Passing.AS_IS
        self._chunked_down = False
        self._unsent = b""  # the head of the answer, for a moment
        self._recent: deque[bytes] | None = None  # the end so far of a stream with known endings
        self._as_is = True
        self._write = client.write

    # -- The client's side

    def begin(self, data: bytes, complete: bool) -> None:
        """Takes the request to where more of the body is needed, or to its end. What is there of
        the body is only counted and kept until the policy has spoken."""
        request, policy = self.request, self.policy
        self.body_complete = complete
        caller = policy.authenticate(request)
        if isinstance(caller, Reply):
            self.reply(caller)
            return
        request.caller = caller
        if refusal := self._refusal():
            self.reply(refusal)
            return
        route = policy.route(request, caller)
        if isinstance(route, Reply):
            self.reply(route)
        elif isinstance(route, Local):
            self._local = LocalAnswer(self, route.handler)
            self.tell_to_send()
            self.body(data, complete)
        else:
            self._route = route
            if route.needs_model:
                request.model = in_query(request.query) if request.query else None
                kinds = request.headers.getall("Content-Type", [])
                self._search = search_for(request.method, request.query, kinds)
            if self.expects:
                # The client sends its body only when told to, and is told so only when llama-swap
                # is there: a body is never sent for nothing.
                self._up = self.engine.pool.acquire(self)
                if self._up is not None:
                    self.tell_to_send()
            if self._search is not None:
                self.body(data, complete)
            else:
                self._body_bytes = len(data)
                self._held += data
                self._admit()

    def _refusal(self) -> Reply | None:
        """Why this is not a plain exchange of messages, or would change its meaning on the way."""
        request, error = self.request, self.policy.error
        if self.engine.ending:
            self.close = True
            message = "The server is being restarted. Try again in a moment."
            return error(503, "shutting_down", message, request)
        if not request.target.startswith("/"):
            return self._bad("The request target must be a path.")
        if "Upgrade" in request.headers and headers.wants_upgrade(request.headers):
            return self._bad("Upgrades are not possible here.", "upgrade_not_supported")
        if self.chunked and not headers.is_chunked_or_plain(request.headers):
            return self._bad("The only transfer coding possible here is chunked.")
        if not headers.all_utf8(request.target, request.raw_headers):
            return self._bad("The head of the request is not UTF-8.")
        if not self.body_complete:
            length = request.headers.get("Content-Length", "0")
            if int(length) > self.engine.limits.body_bytes:
                return self._too_large()
        return None

    def _bad(self, message: str, code: str = "bad_request") -> Reply:
        self.close = True  # what follows on the connection can no longer be told apart
        return self.policy.error(400, code, message, self.request)

    def _too_large(self) -> Reply:
        self.close = True
        return self.policy.error(413, "body_too_large", "The body is too large.", self.request)

    def body(self, data: bytes, complete: bool) -> None:
        """Takes a piece of the body, which may be empty at its end."""
        self.body_complete = complete
        self._body_bytes += len(data)
        if self._body_bytes > self.engine.limits.body_bytes:
            self.reply(self._too_large())
        elif self._local is not None:
            self._local.body(data, complete)
        elif self._started_up and self._up is not None:
            self._up.write(self._framed(data))
        else:
            self._hold(data)

    def _framed(self, data: bytes) -> bytes:
        """A piece of the body as it goes up."""
        if not self.chunked:
            return data
        framed = chunk(data) if data else b""
        return framed + LAST if self.body_complete else framed

    def _hold(self, data: bytes) -> None:
        search = self._search
        if search is None:
            self._held += data
            if len(self._held) > MOST_HELD:
                self.client.pause("up")
        elif search.feed(data, self.body_complete) or (
            len(search.buffer) > self.engine.limits.model_bytes
        ):
            self._search = None
            self._held = search.buffer
            self.request.model = search.model
            self._admit()

    def expire(self) -> None:
        """The body makes no progress."""
        if not self.body_complete:
            self.close = True
            message = "The body of the request took too long to arrive."
            self.reply(self.policy.error(408, "request_timeout", message, self.request))

    def malformed(self) -> None:
        """The body is none."""
        self.close = True
        message = "The body of the request is malformed."
        self.reply(self.policy.error(400, "bad_request", message, self.request))

    def failed(self, bug: Exception) -> None:
        """A bug, here or in the policy."""
        self.close = True
        self.reply(internal_error(self.engine, self, bug))

    def client_gone(self) -> None:
        """The client's connection ended: llama-swap is to stop at once."""
        self._finish("cancelled", clean=False)

    def client_full(self) -> None:
        """The client takes no more for now."""
        if self._up is not None:
            self._up.pause()

    def client_drained(self) -> None:
        """It takes more again."""
        if self._up is not None:
            self._up.resume()

    def tell_to_send(self) -> None:
        """Says `100 Continue` to a client that waits for it."""
        if self.expects:
            self.expects = False
            if not self.body_complete and not self._body_bytes:
                self.client.write(CONTINUE)

    # -- Between the two

    def _admit(self) -> None:
        request = self.request
        caller: Caller | None = request.caller
        if caller is None:
            raise AssertionError("admitted without a caller")
        ticket = self.policy.admit(request, caller, request.model)
        if isinstance(ticket, Reply):
            self.reply(ticket)
            return
        self._ticket = ticket
        if self._up is None and not self.expects:  # else it is there, or under way
            self._up = self.engine.pool.acquire(self)
        if self._up is not None:
            self._start(self._up)

    def _start(self, up: Connection) -> None:
        request = self.request
        lines = headers.to_upstream(
            request.raw_headers,
            host=self.engine.upstream_host,
            client=request.client,
            scheme=request.scheme,
        )
        coding = b"Transfer-Encoding: chunked\r\n" if self.chunked else b""
        first = f"{request.method} {request.target} HTTP/1.1\r\n".encode()
        parts = [first, lines, coding, b"\r\n"]
        if self._held or self.body_complete:
            parts.append(self._framed(bytes(self._held)))
            self._held = bytearray()
            self.client.resume("up")
        data = b"".join(parts)
        if up.used and self.body_complete and request.method in REPEATABLE:
            self._replay = data
        self._started_up = True
        up.send(self, data, to_head=request.method == "HEAD")

    def abort(self, how: str) -> None:
        """Breaks this off, whatever state it is in."""
        if self.over:
            return
        self.client.break_off(reset=self.old)
        self._finish(how, clean=False)

    def reply(self, reply: Reply) -> None:
        """Answers here, instead of llama-swap."""
        if self._status:  # too late: an answer has begun
            self.abort(f"broken off: {reply.status}")
        if self.over:
            return
        self._status, self._sent = reply.status, len(reply.body)
        to_head = self.request.method == "HEAD"
        self.close = self.close or reply.close or self._must_close()
        self.client.write(
            answer.of_reply(reply, self.request.id, to_head=to_head, close=self.close)
        )
        self._finish(reply.note, clean=False)

    def _must_close(self) -> bool:
        """Whether the client's connection cannot go on behind this answer."""
        return self.client.last or self.engine.ending or self.expects

    def _finish(self, how: str, *, clean: bool) -> None:
        """The end, on every way. `clean` if request and answer went through to the last byte."""
        if self.over:
            return
        self.over = True
        up, self._up = self._up, None
        if up is not None:
            up.release(clean=clean)
        else:
            self.engine.pool.forget(self)
        if self._local is not None:
            self._local.cancel()
        self.client.resume("up")
        seconds = time.monotonic() - self.request.started
        outcome = Outcome(self._status or 499, how, self._sent, seconds)
        if self._ticket is not None:
            self._ticket.finish(outcome)
        self.policy.done(self.request, outcome)
        self.request.abort = _nothing  # no circle of references: freed now, not by the collector
        self.client.exchange_over(self)

    # -- llama-swap's side

    def connected(self, connection: Connection) -> None:
        """A new connection, asked for before."""
        self._up = connection
        if self._replay:
            connection.send(self, self._replay, to_head=self.request.method == "HEAD")
            self._replay = b""
            return
        self.tell_to_send()
        if self._ticket is not None:
            self._start(connection)

    def not_connected(self, why: str) -> None:
        """Nobody listens, which is what a restart looks like; clients try again by themselves."""
        _log.warning("%s cannot connect: %s", self.request.id, why)
        message = (
            "llama-swap is not reachable; it is probably being restarted. Try again in a moment."
        )
        self.reply(self.policy.error(503, "upstream_unavailable", message, self.request))

    def answer_head(self, head: AnswerHead, *, more: bool) -> None:
        """The head goes out now: the client sees it long before the first token."""
        self._replay = b""
        self._status = head.status
        chunked = head.framing is Framing.CHUNKED
        if self.old:
            self._passing = Passing.WITHOUT_CHUNKS
        elif head.framing is Framing.CONNECTION:
            self._passing = Passing.IN_CHUNKS
            chunked = True
        self._as_is = self._passing is Passing.AS_IS
        self._chunked_down = chunked and not self.old
        # A body that nobody reads to its end is in the way of another request.
        self.close = self._must_close() or not self.body_complete
        added = self._ticket.head(head.status, head.headers) if self._ticket else b""
        if self._route and head.event_stream and head.status == 200 and chunked:
            self._recent = deque(maxlen=RECENT) if self._route.endings else None
        data = answer.for_client(
            head, self.request.id, added, chunked=self._chunked_down, close=self.close
        )
        if more:
            self._unsent = data  # to go out in one write with what follows
        else:
            self.client.write(data)

    def answer_data(self, raw: bytes, content: bytes, done: bool) -> None:
        """A token passes. Runs for each of them, so the usual case is short: tell the policy, and
        write what came as it came."""
        if content:
            self._sent += len(content)
            if self._ticket is not None:
                self._ticket.data(content)  # looked up anew: a ticket may replace its own
            if self._recent is not None:
                self._recent.append(content)
        if done or not self._as_is or self._unsent:
            self._answer_more(raw, content, done)
        elif raw:
            self._write(raw)

    def _answer_more(self, raw: bytes, content: bytes, done: bool) -> None:
        """The first bytes of a body, the last ones, and those in another framing."""
        if self._passing is Passing.WITHOUT_CHUNKS:
            raw = content
        elif self._passing is Passing.IN_CHUNKS:
            raw = chunk(content) if content else b""
        cut = done and self._was_cut()
        if done and self._chunked_down and not cut:
            raw += LAST
        if self._unsent:
            raw, self._unsent = self._unsent + raw, b""
        if raw:
            self._write(raw)
        if cut:
            self._break_off("the event stream has no end")
        elif done:
            self._finish("-", clean=self.body_complete)

    def _was_cut(self) -> bool:
        """Whether an event stream that has a known ending came without it."""
        if self._recent is None or self._route is None:
            return False
        end = b"".join(self._recent)
        return not any(ending in end for ending in self._route.endings)

    def answer_failed(self, why: str, *, begun: bool) -> None:
        """llama-swap went away, or speaks another language."""
        self._up = None
        if self._status:
            self._break_off(why)
        elif self._replay and not begun:
            # It was idle for a while, and closed by the other side just as it was used again.
            self.engine.pool.connect(self)
        else:
            _log.warning("%s no answer: %s", self.request.id, why)
            message = "llama-swap ended the connection or sent an answer that is not HTTP."
            self.reply(self.policy.error(502, "upstream_error", message, self.request))

    def _break_off(self, why: str) -> None:
        """Ends the client's connection so that the answer cannot be taken for a whole one."""
        self.client.break_off(reset=self.old, flush=True)
        self._finish(f"broken off: {why}", clean=False)

    def pause_body(self) -> None:
        """llama-swap is slower than the client."""
        self.client.pause("up")

    def resume_body(self) -> None:
        """It takes more again."""
        self.client.resume("up")


def _nothing(how: str) -> None:
    """What is over cannot be broken off."""
