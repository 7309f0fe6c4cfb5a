"""What the engine's parts need of those that use them, so that imports go one way; types only.

Each is named for what it is to the part: the engine is `Service` to a request and `Server`
to a connection, a connection is `Client` to its transaction, and a transaction is `Answered`,
`Relayed` or `Forwarded` to those that work for it.
"""

import asyncio
from typing import Protocol

from proxy.engine.body_memory import BodyMemory
from proxy.engine.file_transfers import Transfers
from proxy.engine.flow_control import Wire
from proxy.engine.time_slices import TimeSlices
from proxy.engine.upstream_pool import Pool
from proxy.engine.upstream_queries import UpstreamQueries
from proxy.exchange import File, Policy, Reply, Request
from proxy.limits import Limits

# -- The engine


class Service(Protocol):
    """What all requests share."""

    policy: Policy
    limits: Limits
    pool: Pool
    looks: UpstreamQueries
    transfers: Transfers
    turns: TimeSlices
    holdings: BodyMemory
    """What is held here of bodies."""
    sent: BodyMemory
    """What llama-swap keeps of them."""
    ending: bool
    """Whether no more requests are begun."""

    def new_id(self) -> str:
        """A name for a request, to be found in the log."""


class Counted(Protocol):
    """A connection while there is one, with TLS on it or not yet."""

    source: str
    """Where it comes from, as `source_of` has it."""

    @property
    def transaction(self) -> object | None:
        """What is open on it."""

    @property
    def spare(self) -> bool:
        """Whether nothing is waited for on it but its client."""

    def make_room(self) -> None:
        """Ends it at once, and cheaply: there are too many."""

    def tick(self, now: float) -> None:
        """Ends what takes too long."""

    def close(self) -> None:
        """Ends it."""


class Server(Service, Protocol):
    """Where connections come in."""

    loop: asyncio.AbstractEventLoop
    now: float
    """The loop's time, to the second: what deadlines are set from."""

    def enter(self, client: Counted) -> bool:
        """One connection more; False if it is one too many."""

    def know(self, client: Counted) -> None:
        """A good key came on it."""

    def is_flooded(self) -> bool:
        """Whether there are even too many connections that are only told so."""

    def leave(self, client: Counted) -> None:
        """One connection less."""

    def over(self) -> None:
        """One request less."""


# -- A connection


class Client(Protocol):
    """Whose request it is."""

    address: str
    scheme: str
    wire: Wire
    last: bool
    """Whether no request is read behind the current one."""
    half_closed: bool
    """Whether it sends no more, and seems to listen still."""

    def know(self) -> None:
        """A good key came with a request; the connection is a stranger's until then."""

    def over(self, *, close: bool) -> None:
        """The answer is written, or there will be none; `close` if the connection ends with it."""

    def break_off(self, *, reset: bool, flush: bool = False) -> None:
        """Ends the connection so that an unfinished answer cannot be taken for a finished one."""


# -- A transaction


class Answered(Protocol):
    """A request that is answered here."""

    request: Request
    close: bool
    """Whether the client's connection ends with this."""

    def reply(self, reply: Reply) -> None:
        """Answers, unless an answer has begun: that is broken off."""

    def begin_file(self, file: File) -> Wire:
        """Writes the head of this answer; where its body is to go."""

    def abort(self, how: str) -> None:
        """Breaks this off, whatever state it is in."""

    def end(self, how: str, *, clean: bool) -> None:
        """The end. `clean` if request and answer went through to the last byte."""


class Relayed(Protocol):
    """A request whose answer comes from llama-swap."""

    request: Request
    body_complete: bool
    close: bool
    """Whether the client's connection ends with this."""
    old: bool
    """Whether the client speaks HTTP/1.0."""
    status: int
    """Of the answer, once its head was sent."""

    def must_close(self) -> bool:
        """Whether the client's connection cannot go on behind the answer."""

    def break_off(self, why: str) -> None:
        """Ends the client's connection so that the answer cannot be taken for a whole one."""

    def end(self, how: str, *, clean: bool) -> None:
        """The end. `clean` if request and answer went through to the last byte."""


class Forwarded(Answered, Relayed, Protocol):
    """A request that goes up to llama-swap."""

    chunked: bool
    """Whether its body is."""
    expects: bool
    """Whether the client waits for a word before it sends its body."""

    def failed(self, bug: Exception) -> None:
        """A bug, here or in the policy."""

    def tell_to_send(self) -> None:
        """Says `100 Continue` to a client that waits for it."""


class Sender(Protocol):
    """Who sent up the request that an answer is for."""

    def answered(self) -> None:
        """The answer has begun."""

    def refused(self) -> bool:
        """llama-swap asks for a key; False if that is between it and the client."""

    def answered_here(self, reply: Reply) -> None:
        """It is not passed on: this is sent instead."""

    def failed(self, why: str, *, begun: bool) -> None:
        """It is not whole, or there is none; the connection is gone."""

    def pause_body(self) -> None:
        """llama-swap is slower than the client."""

    def resume_body(self) -> None:
        """It takes more again."""
