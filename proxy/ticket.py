"""The books of running requests: each has a ticket, and is charged while it runs and at its end."""

import time
from collections.abc import Callable

from proxy.accesslog import Line
from proxy.exchange import Outcome, RawHeaders, Request
from proxy.limits import Meter
from proxy.metrics import Metrics, Models
from proxy.tokens import Observer, Tokens
from proxy.usage import Usage, today

_ENOUGH = 8  # tokens, to speak of a speed


class Ticket:
    """One admitted request, as exchange.Ticket. `data` runs for each token."""

    __slots__ = (
        "_added", "_answer", "_begun", "_books", "charged", "data", "first", "key", "meter",
        "model", "status", "stream", "tokens",
    )  # fmt: skip

    def __init__(
        self, books: "Books", request: Request, key: str, model: str | None, meter: Meter | None,
        added: bytes,
    ) -> None:  # fmt: skip
        self.key, self.model, self.meter = key, model, meter
        self.status = 0
        self.stream = False
        self.first: float | None = None
        self.tokens = Tokens()
        self.charged = Tokens()
        self.data: Callable[[bytes], None] = _ignore
        """Replaced as the answer goes on, so that no piece pays for a decision made before."""
        self._added = added
        self._answer: Observer | None = None
        self._begun = request.started
        self._books = books
        books.open(request, self)

    def head(self, status: int, headers: RawHeaders) -> bytes:
        """Chooses what to look at."""
        self.status = status
        kind = next((value for name, value in headers if name.lower() == b"content-type"), b"")
        kind = kind.lower()
        self.stream = kind.startswith(b"text/event-stream")
        if status < 400 and (self.stream or b"json" in kind):
            self._answer = Observer(stream=self.stream)
            self.data = self._begin if self.stream else self._answer.feed
        self._books.begun(self)
        return self._added

    def _begin(self, chunk: bytes) -> None:
        """Until the first event: what comes before is comments."""
        answer = self._answer
        if answer is not None:
            answer.feed(chunk)
            if answer.look():
                self.first = self._books.clock() - self._begun
                self.data = answer.feed

    def finish(self, outcome: Outcome) -> None:
        """Takes the last numbers."""
        if self._answer is not None:
            self.tokens = self._answer.tokens(whole=outcome.whole)
        self._books.ended(self, outcome)

    def so_far(self) -> Tokens:
        """Of a stream: its events, one token each."""
        return Tokens(0, self._answer.look() if self._answer and self.stream else 0)


def _ignore(_: bytes) -> None:
    """Of an answer that tells no tokens."""


class Books:
    """All running requests, and where their numbers go."""

    def __init__(
        self, usage: Usage | None, metrics: Metrics, models: Models, clock: Callable[[], float]
    ) -> None:
        self.clock = clock
        self._usage = usage
        self._metrics = metrics
        self._models = models
        self._tickets: dict[Request, Ticket] = {}

    def open(self, request: Request, ticket: Ticket) -> None:
        """A request goes up."""
        self._tickets[request] = ticket
        self._metrics.open += 1

    def begun(self, ticket: Ticket) -> None:
        """llama-swap answers."""
        self._metrics.upstream = True
        if ticket.status < 400 and ticket.model is not None:
            self._models.answered(ticket.model)
        if ticket.stream:
            self._metrics.streams += 1

    def ended(self, ticket: Ticket, outcome: Outcome) -> None:
        """The request is over."""
        if ticket.meter is not None:
            ticket.meter.leave()
        self._metrics.open -= 1
        if ticket.stream:
            self._metrics.streams -= 1
        if ticket.status == 0 and outcome.status in (502, 503):
            self._metrics.upstream = False
        failed = outcome.status >= 400 or not outcome.whole
        self._charge(ticket, ticket.tokens, requests=1, errors=int(failed))
        self._measure(ticket, outcome)

    def settle(self) -> None:
        """Charges what streams have sent so far; what they really took is known at their end."""
        for ticket in self._tickets.values():
            if ticket.stream:
                self._charge(ticket, ticket.so_far())

    def close(self, request: Request, line: Line) -> None:
        """Tells the log, and counts the request, whether it had a ticket or not."""
        ticket = self._tickets.pop(request, None)
        label = self._models.label(request.model)
        self._metrics.requests[line.key, label, line.status] += 1
        self._metrics.seconds.add(label, line.seconds)
        if ticket is not None and ticket.status:
            line.first = ticket.first
            line.prompt, line.completion, _ = ticket.tokens

    def used_today(self, key: str) -> int:
        """What this key has used today, before this process too."""
        if self._usage is None:
            return 0
        try:
            rows = self._usage.rows(since=today(), key=key)
        except ValueError:  # said in the log by the one who writes it
            return 0
        return sum(row.prompt + row.completion for row in rows)

    def _charge(
        self, ticket: Ticket, told: Tokens, *, requests: int = 0, errors: int = 0
    ) -> None:  # fmt: skip
        prompt = told.prompt - ticket.charged.prompt
        completion = told.completion - ticket.charged.completion
        if ticket.meter is None or not (prompt or completion or requests):
            return
        ticket.charged = told
        ticket.meter.charge(prompt + completion, time.time())
        if self._usage is not None:
            self._usage.add(
                ticket.key, self._models.label(ticket.model), requests=requests, errors=errors,
                prompt=prompt, completion=completion,
            )  # fmt: skip

    def _measure(self, ticket: Ticket, outcome: Outcome) -> None:
        label = self._models.label(ticket.model)
        prompt, completion, speed = ticket.tokens
        if prompt:
            self._metrics.tokens[ticket.key, label, "in"] += prompt
        if completion:
            self._metrics.tokens[ticket.key, label, "out"] += completion
        if ticket.first is not None:
            self._metrics.first.add(label, ticket.first)
            if speed is None and completion >= _ENOUGH and outcome.seconds > ticket.first:
                speed = (completion - 1) / (outcome.seconds - ticket.first)
        if speed is not None and completion >= _ENOUGH:
            self._metrics.speed.add(label, speed)
