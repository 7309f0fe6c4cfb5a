"""One request and its answer: past the policy, to whoever answers it, and to its end.

The end comes once and in one place, `end`, whichever side goes away first and whoever answered.
"""

import time

from proxy.engine.flow_control import Wire
from proxy.engine.interfaces import Client, Service
from proxy.engine.local_response import LocalAnswer, internal_error, log_bug
from proxy.engine.request_forwarding import Forwarding
from proxy.exchange import File, Local, Outcome, Reply, Request
from proxy.http import request_headers
from proxy.http.request_parser import Head
from proxy.http.response_head import head_of, of_reply

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Transaction:
    """What is the same for requests that llama-swap answers and those that are answered here."""

    __slots__ = (
        "_forwarding",
        "_local",
        "body_complete",
        "body_size",
        "chunked",
        "client",
        "close",
        "engine",
        "expects",
        "old",
        "over",
        "policy",
        "request",
        "sent",
        "status",
    )

    def __init__(self, client: Client, engine: Service, head: Head, *, expects: bool) -> None:
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
        self.expects = expects and not self.old  # waits for a word before it sends its body
        self.close = False  # whether the client's connection ends with this
        self.over = False
        self.body_complete = False
        self.body_size = 0  # of what came so far
        self.status = 0  # of the answer, once its head was sent
        self.sent = 0  # of the answer's body, without framing
        self._forwarding: Forwarding | None = None
        self._local: LocalAnswer | None = None

    # -- The request, as it comes

    def begin(self, data: bytes, complete: bool) -> None:
        """The head is there, and this much of the body, at which nobody looks until the policy
        has spoken."""
        request, policy = self.request, self.policy
        self.body_complete = complete
        caller = policy.authenticate(request)
        if isinstance(caller, Reply):
            self.reply(caller)
            return
        request.caller = caller
        if caller.known:
            self.client.know()
        if refusal := self._refusal():
            self.reply(refusal)
            return
        route = policy.route(request, caller)
        if isinstance(route, Reply):
            self.reply(route)
            return
        self.body_size = len(data)
        if isinstance(route, Local):
            self._local = LocalAnswer(self, self.engine, route.handler)
            self.tell_to_send()
            self._local.body(data, complete)
        else:
            self._forwarding = Forwarding(self, self.engine, self.client.wire, route)
            self._forwarding.begin(data)

    def _refusal(self) -> Reply | None:
        """Why this request goes no further, whatever the policy thinks of it."""
        if self.engine.ending:
            self.close = True
            message = "The server is being restarted. Try again in a moment."
            return self.policy.error(503, "shutting_down", message, self.request)
        if fault := request_headers.fault(self.request, chunked=self.chunked):
            self.close = True  # what follows on the connection can no longer be told apart
            return self.policy.error(400, *fault, self.request)
        if request_headers.wants_upgrade(self.request.headers) and not self.old:
            message = (
                "Only HTTP/1.1 is spoken here, no WebSocket or other protocol: ask without an "
                "upgrade."
            )
            return self.policy.error(426, "upgrade_not_supported", message, self.request)
        if not self.body_complete:
            length = self.request.headers.get("Content-Length", "0")
            if int(length) > self.engine.limits.body_bytes:
                return self._too_large()
        return None

    def _too_large(self) -> Reply:
        self.close = True
        return self.policy.error(413, "body_too_large", "The body is too large.", self.request)

    def body(self, data: bytes, complete: bool) -> None:
        """A piece of the body, which may be empty at its end."""
        self.body_complete = complete
        self.body_size += len(data)
        if self.body_size > self.engine.limits.body_bytes:
            self.reply(self._too_large())
        elif self._forwarding is not None:
            self._forwarding.body(data)
        elif self._local is not None:
            self._local.body(data, complete)

    def tell_to_send(self) -> None:
        """Says `100 Continue` to a client that waits for it."""
        if self.expects:
            self.expects = False
            if not self.body_complete and not self.body_size:
                self.client.wire.write(CONTINUE)

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
        self.reply(internal_error(self.policy, self.request, bug))

    # -- The client, otherwise

    def may_outlive_requests(self) -> bool:
        """Whether this goes on for a client that sends no more.

        If llama-swap is at work for it, the client is sent a word: one that is gone answers it with
        a reset. One that leaves once the answer has begun is gone.
        """
        if self.status or not self.body_complete:
            return False
        if self._forwarding is not None:
            if self.old:  # it knows no such word
                return False
            self.client.wire.write(CONTINUE)
        return True

    def client_gone(self) -> None:
        """Its connection ended: llama-swap is to stop at once."""
        told = self._forwarding is not None and self._forwarding.is_told()
        self.end("-" if told else "cancelled", clean=False)

    def client_full(self) -> None:
        """It takes no more for now."""
        if answer := self._forwarding or self._local:
            answer.pause_answer()

    def client_drained(self) -> None:
        """It takes more again."""
        if answer := self._forwarding or self._local:
            answer.resume_answer()

    # -- The end

    def reply(self, reply: Reply) -> None:
        """Answers here, instead of llama-swap."""
        if self.status:  # too late: an answer has begun
            self.abort(f"broken off: {reply.status}")
        if self.over:
            return
        to_head = self.request.method == "HEAD"
        self.status, self.sent = reply.status, 0 if to_head else len(reply.body)
        self.close = self.close or reply.close or self.must_close()
        self.client.wire.write(of_reply(reply, self.request.id, to_head=to_head, close=self.close))
        self.end(reply.note, clean=False)

    def begin_file(self, file: File) -> Wire:
        """Writes the head of this answer; where its body is to go."""
        self.status = file.status
        self.close = self.close or self.must_close()
        wire = self.client.wire
        wire.write(head_of(file, file.length, self.request.id, close=self.close))
        return wire

    def must_close(self) -> bool:
        """Whether the client's connection cannot go on behind the answer."""
        return self.client.last or self.engine.ending or self.expects

    def abort(self, how: str) -> None:
        """Breaks this off, whatever state it is in."""
        if self.over:
            return
        self.client.break_off(reset=self.old)
        self.end(how, clean=False)

    def break_off(self, why: str) -> None:
        """Ends the client's connection so that the answer cannot be taken for a whole one."""
        self.client.break_off(reset=self.old, flush=True)
        self.end(f"broken off: {why}", clean=False)

    def end(self, how: str, *, clean: bool) -> None:
        """The end, on every way. `clean` if request and answer went through to the last byte."""
        if self.over:
            return
        self.over = True
        if how == "-" and self.client.half_closed:
            how = "half-closed"
        ticket = None
        if self._forwarding is not None:
            ticket = self._forwarding.ticket
            sent = self._forwarding.end(clean=clean)
            self.sent = self.sent or sent
        elif self._local is not None:
            self.sent = self.sent or self._local.end()
        seconds = time.monotonic() - self.request.started
        outcome = Outcome(self.status or 499, how, self.sent, seconds)
        try:
            if ticket is not None:
                ticket.finish(outcome)
            self.policy.done(self.request, outcome)
        except Exception as bug:  # the client's connection goes on
            log_bug(bug)
        # No circle of references: all is freed now, and not by the collector.
        self.request.abort = _nothing
        self._forwarding = self._local = None
        self.client.over(close=self.close)


def _nothing(how: str) -> None:
    """What is over cannot be broken off."""
