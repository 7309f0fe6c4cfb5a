"""What the engine and a policy say to each other about one request; types only.

The engine speaks HTTP and moves bytes. A policy decides who may do what, and keeps the books. For
each request the engine calls, in this order and on the event loop's thread:

1. `authenticate`, on the head alone: no byte of the body has been read, no `100 Continue` sent.
2. `route`, which says what becomes of it: forwarded, answered at once, or given to a handler.
3. `hold`, if something of its body has to be kept until `model` is found in it.
4. `admit`, if it is forwarded and after `model` was found.
5. `instead`, else `translate`, if llama-swap answers with a small error.
6. the ticket's `body` for each piece of the request, `head` once, `data` for each piece of the
   answer, `finish` once, always.
7. `done` once, for every request, refused ones too: the place for the access log and counters.

None of these may block or raise; what one of them raises becomes a 500 and a line in the log.
"""

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from multidict import CIMultiDictProxy

RawHeaders = Sequence[tuple[bytes, bytes]]
"""Names and values as they are on the wire: order, repetition and spelling kept."""


class Caller(Protocol):
    """Who a request is from; a policy's own class, with at least these."""

    @property
    def label(self) -> str:
        """The name that logs show."""

    @property
    def known(self) -> bool:
        """Whether a good key says so; open routes have callers without one."""


@dataclass(slots=True, eq=False)
class Request:
    """The head of a request. Text is UTF-8; other bytes appear as surrogates, and are refused
    after `authenticate`."""

    id: str
    """Returned to the client as X-Request-Id. `authenticate` may give it another one."""
    method: str
    target: str
    """The request target as sent: nothing decoded, nothing resolved."""
    path: str
    """The target up to the first `?`, still as sent; may be no path at all before `route`."""
    query: str
    headers: CIMultiDictProxy[str]
    raw_headers: RawHeaders
    version: tuple[int, int]
    client: str
    """The address of the socket's other end."""
    scheme: str
    """`http` or `https`: how the client came."""
    started: float
    """time.monotonic() when the head was complete."""
    abort: Callable[[str], None]
    """Breaks the request off, now or at any later time, as when its key is revoked. The argument
    is the `how` of its outcome. After the end of the request it does nothing."""
    caller: Caller | None = None
    """What `authenticate` returned, set by the engine."""
    model: str | None = None
    """Set by the engine before `admit`."""
    up: bytes = b""
    """Header lines that go up with it (`b"X-A: 1\\r\\n"`), set by the policy in `admit`."""
    inspect: "Callable[[bytes], Reply | None] | None" = None
    """Looks at each piece of the body as it goes up; what it returns is the answer instead.
    Set by the policy in `route`, if at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer made here. Length, Date, Connection and X-Request-Id are added by the engine."""

    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    close: bool = False
    """Whether the connection ends with it."""
    note: str = "-"
    """For the log only."""


Error = Callable[[int, str, str, Request | None], Reply]
"""`Policy.error`, for the parts of a policy."""


class Descriptor:
    """An open file, closed with the last reference to it: no way that a request ends leaves it
    open, and a thread that still reads from it cannot come to read another one."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.close(self.number)

    def read(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes; less at the end of the file. OSError if it cannot be read."""
        return os.pread(self.number, size, offset)


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """An answer made here whose body is a part of a file. The engine adds to it as to a Reply."""

    status: int
    headers: Sequence[tuple[str, str]]
    content: Descriptor
    offset: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the event streams of one API end when they are whole."""

    shapes: tuple[bytes, ...]
    """One of these is in any few events of such a stream."""
    last: tuple[bytes, ...]
    """One of these is near the end of every whole one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """The request goes to llama-swap."""

    needs_model: bool
    """Whether to look for `model` (JSON, form field or query) before `admit`. What is not found
    is None there; the policy decides whether that is a refusal."""
    endings: tuple[Ending, ...] = ()
    """Of the event streams of this route. One of such a shape that llama-swap ends properly and
    without its ending was cut behind it; the client's connection is then broken off before the
    end, so that it cannot be taken for a whole one."""
    target: str | None = None
    """What it is asked for there, where that is not the client's word for it."""


@dataclass(slots=True)
class Outcome:
    """How a request ended."""

    status: int
    """Of the answer, sent or about to be; 499 if the client left before there was one."""
    how: str
    """`-` for a whole answer; otherwise why not: `cancelled`, `broken off: ...`, or a note."""
    sent: int
    """Bytes of the answer's body, without framing."""
    seconds: float

    @property
    def whole(self) -> bool:
        """Whether the client was sent all of the answer."""
        return self.how == "-" or not self.how.startswith(("cancelled", "broken off"))


class Ticket(Protocol):
    """One admitted request, from admission to end."""

    def body(self, data: bytes, *, complete: bool) -> str:
        """A piece of the request is about to go up, without chunk framing; `complete` with the
        last one. A text that is not empty says why it must not: the request is refused."""

    def head(self, status: int, kind: bytes) -> bytes:
        """llama-swap's answer begins; `kind` is its content type in lower case. Returns header
        lines to add (`b"X-A: 1\\r\\n"`), or b""."""

    def data(self, chunk: bytes) -> None:
        """A piece of the body passes, without chunk framing, cut anywhere. Runs for each token:
        it should do no more than keep a reference or search a few bytes. Looked up for each
        call, so that a ticket may replace it on itself."""

    def finish(self, outcome: Outcome) -> None:
        """The request is over, however it ended, also when `head` was never called."""


class Fetch(Protocol):
    """A GET to llama-swap on behalf of a handler, its answer held in memory up to a limit."""

    async def __call__(self, target: str) -> Reply: ...


LocalHandler = Callable[[Request, bytes, Fetch], Awaitable[Reply | File]]
"""Answers here, given the body (up to 64 KiB; more is refused with 413 before)."""


@dataclass(frozen=True, slots=True)
class Local:
    """The request is answered by a handler here."""

    handler: LocalHandler


class Policy(Protocol):
    """Who may do what, and the books."""

    def authenticate(self, request: Request) -> Caller | Reply:
        """The caller, or the refusal. Open paths and preflights are answered here as well."""

    def route(self, request: Request, caller: Caller) -> Forward | Reply | Local:
        """What becomes of the request. The target is a path by now, and no upgrade asked for."""

    def hold(self, request: Request, caller: Caller) -> Reply | None:
        """The request has a body that is kept here until its model is known: from now on it counts
        as one under way. What is against that, if anything."""

    def admit(self, request: Request, caller: Caller, model: str | None) -> Ticket | Reply:
        """The last word before llama-swap hears of the request."""

    def error(self, status: int, code: str, message: str, request: Request | None) -> Reply:
        """An error in the dialect of the request's client; None for a head that was not HTTP.

        Its headers are the policy's too: Retry-After for `upstream_unavailable`,
        `shutting_down`, `too_many_connections` and `too_many_files`. The engine's codes:
        bad_request, upgrade_not_supported, head_too_large, target_too_long, method_not_known,
        http_version_not_supported, request_timeout, body_too_large,
        upstream_unavailable, upstream_error, shutting_down, too_many_connections, too_many_files,
        internal_error."""

    def instead(self, request: Request, status: int, body: bytes) -> Reply | None:
        """The answer in place of a small error of llama-swap's; None if that is to be
        translated."""

    def translate(self, request: Request, status: int, content_type: bytes, body: bytes) -> bytes:
        """A small error of llama-swap's (JSON or text, of up to 16 KiB), as JSON in the dialect of
        the request's client. Returned unchanged, it passes as it came. Comes before the ticket's
        `head`; or within an event stream, for events of which one is an error."""

    def refused(self, request_id: str, client: str, status: int, why: str) -> None:
        """What was no request, or came on a connection too many, was answered so; `why` is a code
        of `error`, or `made_room`. The place for a line in the log, and of not too many of them."""

    def done(self, request: Request, outcome: Outcome) -> None:
        """A request is over; after the ticket's `finish` if there was one."""
