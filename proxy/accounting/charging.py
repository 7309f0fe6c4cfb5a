"""The books of running requests: each has a ticket, and is charged while it runs and at its end."""

import time
from collections import Counter
from collections.abc import Callable, Mapping

from proxy.accounting.answer_observer import Plain, Stream
from proxy.accounting.estimate import (
    ENOUGH,
    LARGEST,
    Kind,
    Pace,
    kind_of,
    of_none,
    of_plain,
    of_prompt,
    of_stream,
)  # fmt: skip
from proxy.accounting.metrics import Metrics, Models
from proxy.accounting.request_observer import Asked
from proxy.accounting.tokens import NONE, Tokens
from proxy.accounting.usage import Usage, today
from proxy.exchange import Outcome, Request
from proxy.keys.key import Key
from proxy.keys.rate_limits import Meter


class Ticket:
    """One admitted request, as exchange.Ticket. `data` runs for each token."""

    __slots__ = (
        "_added", "_answer", "_asked", "_begun", "_books", "_context", "_kind", "charged", "data",
        "first", "key", "meter", "model", "status", "stream", "tokens",
    )  # fmt: skip

    def __init__(
        self, books: "Books", key: Key, model: str | None, begun: float,
        *, path: str, charged: bool, meter: Meter | None, added: bytes, context: int | None = None,
    ) -> None:  # fmt: skip
        self.key, self.model, self.meter = key, model, meter
        self.status = 0
        self.stream = False
        self.first: float | None = None
        self.tokens = NONE
        self.charged: Tokens | None = NONE if charged else None
        """What is in the usage so far; None if nothing is to be."""
        self.data: Callable[[bytes], None] = _ignore
        """Replaced as the answer goes on, so that no piece pays for a decision made before."""
        self._added = added
        self._answer: Stream | Plain | None = None
        self._asked = Asked(path)
        self._kind = kind_of(path) if charged else Kind.NOTHING
        self._context = context or LARGEST
        self._begun = begun
        self._books = books

    def body(self, data: bytes, *, complete: bool) -> str:
        """A piece of the request goes up."""
        if complete:
            self._asked.at = self._books.clock()
        return self._asked.feed(data, complete=complete)

    def head(self, status: int, kind: bytes) -> bytes:
        """Chooses what to look at."""
        self.status = status
        if status < 400:
            if kind.startswith(b"text/event-stream"):
                self.stream = True
                self._answer = Stream()
                self.data = self._begin
            elif b"json" in kind or self._kind is not Kind.NOTHING:
                self._answer = Plain()
                self.data = self._answer.feed
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
        self.tokens = self._told(outcome)
        self._books.ended(self, outcome)

    def _told(self, outcome: Outcome) -> Tokens:
        answer, asked, whole = self._answer, self._asked, outcome.whole
        if self.status >= 400 or (self.status == 0 and outcome.status != 499):
            return NONE  # refused there or here, or nobody was there
        label, pace = self._books.label(self), self._books.pace
        told = answer.told() if answer is not None else None
        if told is not None and (self._kind is Kind.NOTHING or (whole and told.complete)):
            pace.learn(label, asked.size, told.tokens)
            return told.tokens
        if asked.at is None and told is None:
            return NONE  # the request itself was never whole
        seconds = self._books.clock() - (asked.at or self._begun)
        # One prompt was read before its answer began, several before their answer was whole.
        read = told is not None and (whole or self._kind is Kind.ANSWER)
        prompt = of_prompt(
            self._kind, pace.prompt(label, asked.size), self._context, None if read else seconds
        )
        if isinstance(answer, Stream) and told is not None:
            return of_stream(self._kind, told, prompt, whole=whole)
        timed = pace.answer(label, seconds)
        if told is not None:
            return of_plain(self._kind, told, prompt, timed, whole=whole)
        return of_none(self._kind, prompt, timed)

    def progress(self) -> int:
        """How much came of the answer: events of a stream, bytes of another."""
        answer = self._answer
        if answer is None:
            return 0 if self.status == 0 else 1
        return 1 + (answer.look() if self.stream else answer.size)

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
        self.running: dict[Request, Ticket] = {}
        self.pace = Pace()
        self._usage = usage
        self._metrics = metrics
        self._models = models

    def open(self, request: Request, ticket: Ticket) -> None:
        """A request goes up."""
        self.running[request] = ticket
        self._metrics.open += 1

    def label(self, ticket: Ticket) -> str:
        """Of its model, in counters."""
        return self._models.label(ticket.model)

    def begun(self, ticket: Ticket) -> None:
        """llama-swap answers."""
        self._metrics.upstream = True
        if ticket.stream:
            self._metrics.streams += 1
        if ticket.status < 400 and ticket.model is not None:
            self._models.answered(ticket.model)

    def ended(self, ticket: Ticket, outcome: Outcome) -> None:
        """The request is over."""
        metrics = self._metrics
        metrics.open -= 1
        if ticket.stream:
            metrics.streams -= 1
        if ticket.meter is not None:
            ticket.meter.leave()
        if ticket.status == 0 and outcome.status in (502, 503):
            metrics.upstream = False
        told, label = ticket.tokens, self.label(ticket)
        self._charge(ticket, label, told, 1, int(outcome.status >= 400 or not outcome.whole))
        if told != NONE:
            name = ticket.key.name
            metrics.tokens[name, label, "in"] += told.prompt
            metrics.tokens[name, label, "out"] += told.completion
            self._time(ticket, label, outcome)

    def settle(self) -> None:
        """Charges what streams have sent so far; what they really took is known at their end."""
        for ticket in self.running.values():
            if ticket.stream:
                self._charge(ticket, self.label(ticket), ticket.so_far(), 0, 0)

    def close(self, request: Request, key: str, outcome: Outcome) -> Ticket | None:
        """Counts a request; its ticket, if it had one."""
        label = self._models.label(request.model)
        metrics = self._metrics
        metrics.requests[key, label, outcome.status] += 1
        metrics.seconds.add(label, outcome.seconds)
        return self.running.pop(request, None)

    def inference(self) -> dict[Request, Ticket]:
        """What runs of it; an administrator's pages may be open for ever."""
        return {
            request: ticket
            for request, ticket in self.running.items()
            if ticket.charged is not None
        }

    def used_today(self, key: str) -> int:
        """What this key has used today, before this process too."""
        return self._used(key).get(key, 0)

    def all_used_today(self) -> Mapping[str, int]:
        """The same of all keys, in one look."""
        return self._used(None)

    def _used(self, key: str | None) -> Mapping[str, int]:
        if self._usage is None:
            return {}
        used: Counter[str] = Counter()
        try:
            for row in self._usage.rows(since=today(), key=key):
                used[row.key] += row.prompt + row.completion
        except ValueError:  # said in the log by the one who writes it
            pass
        return used

    def _charge(
        self, ticket: Ticket, label: str, told: Tokens, requests: int, errors: int
    ) -> None:  # fmt: skip
        before = ticket.charged
        if before is None:
            return
        prompt, completion = told.prompt - before.prompt, told.completion - before.completion
        if not (prompt or completion or requests):
            return
        ticket.charged = told
        if ticket.meter is not None:
            ticket.meter.charge(prompt + completion, time.time())
        if self._usage is not None:
            self._usage.add(ticket.key.name, label, requests, errors, prompt, completion)

    def _time(self, ticket: Ticket, label: str, outcome: Outcome) -> None:
        _, completion, speed = ticket.tokens
        if ticket.first is not None:
            self._metrics.first.add(label, ticket.first)
            if speed is None and outcome.seconds > ticket.first:
                speed = (completion - 1) / (outcome.seconds - ticket.first)
        if speed is not None and completion >= ENOUGH:
            self._metrics.speed.add(label, speed)
