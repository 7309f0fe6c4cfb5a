"""The answer's way down: from llama-swap's connection to the client's, as it comes.

`answer_data` is called for each token by `upstream_connection.Connection`, and writes to the
client's transport itself: between two sockets there are these two methods and the ticket's.
"""

from collections import deque
from enum import Enum, auto

from proxy.engine.flow_control import Wire
from proxy.engine.held_errors import HeldError, held
from proxy.engine.interfaces import Relayed, Sender
from proxy.exchange import Ending, Policy, Ticket
from proxy.http import response_head
from proxy.http.chunked import LAST, chunk, is_whole
from proxy.http.event_stream import is_cut, is_told
from proxy.http.response_head import AnswerHead, Framing

RETRY = b"retry-after"
LATER = b"Retry-After: 5\r\n"  # a model that is loading takes longer than clients wait otherwise
# In an event that is an error, and in no other: within JSON's strings they are escaped.
IN_STREAM = (b'"error":{', b"event: error")
RECENT = 12  # pieces of a stream in which its ending is looked for


class Passing(Enum):
    """What happens to the bytes of an answer."""

    AS_IS = auto()
    WITHOUT_CHUNKS = auto()  # for a client that speaks HTTP/1.0
    IN_CHUNKS = auto()  # the end of llama-swap's connection is the end of its answer


class Relay:
    """One answer; the `upstream_connection.Owner` of the connection it comes from."""

    __slots__ = (
        "_chunked",
        "_endings",
        "_error",
        "_judged",
        "_passing",
        "_policy",
        "_recent",
        "_seldom",
        "_sender",
        "_stream",
        "_ticket",
        "_transaction",
        "_unsent",
        "_write",
        "sent",
    )

    def __init__(
        self,
        transaction: Relayed,
        sender: Sender,
        policy: Policy,
        wire: Wire,
        ticket: Ticket,
        endings: tuple[Ending, ...],
    ) -> None:
        self._transaction = transaction
        self._sender = sender
        self._policy = policy
        self._write = wire.write
        self._ticket = ticket
        self._endings = endings
        self.sent = 0  # of the body, without framing
        self._passing = Passing.AS_IS
        self._seldom = False  # whether the next bytes are no usual ones
        self._stream = False  # of events
        self._error: HeldError | None = None  # until it is whole
        self._judged = False  # whether an error was held back, or need not be
        self._chunked = False  # for the client
        self._unsent = b""  # the head of the answer, for a moment
        self._recent: deque[bytes] | None = None  # the end so far of a stream with known endings

    def answer_head(self, head: AnswerHead, *, more: bool) -> None:
        """The head goes out now, long before the first token; only a small error waits."""
        transaction = self._transaction
        if head.status == 401 and not self._judged and self._sender.refused():
            return
        if head.status >= 400 and not self._judged:
            self._judged = True
            self._error = held(head)
            if self._error is not None:
                self._seldom = True
                return
        self._sender.answered()
        transaction.status = head.status
        # A body that nobody reads to its end is in the way of another request.
        close = transaction.close = transaction.must_close() or not transaction.body_complete
        chunked = head.framing is Framing.CHUNKED
        if transaction.old:
            self._passing = Passing.WITHOUT_CHUNKS
        elif head.framing is Framing.CONNECTION:
            self._passing = Passing.IN_CHUNKS
            chunked = True
        self._chunked = chunked and not transaction.old
        added = self._ticket.head(head.status, head.content_type)
        if head.status == 503 and not head.says(RETRY):
            added += LATER
        self._stream = head.event_stream
        if self._endings and head.event_stream and head.status == 200 and chunked:
            self._recent = deque(maxlen=RECENT)
        data = response_head.for_client(
            head, transaction.request.id, added, chunked=self._chunked, close=close
        )
        if more:
            self._unsent = data  # to go out in one write with what follows
        else:
            self._write(data)
        self._seldom = more or self._passing is not Passing.AS_IS

    def answer_data(self, raw: bytes, content: bytes, done: bool) -> None:
        """A token passes. Runs for each of them, so the usual case is short: tell the policy, and
        write what came as it came."""
        if (
            done
            or self._seldom
            or (self._stream and (IN_STREAM[0] in content or IN_STREAM[1] in content))
        ):
            self._answer_more(raw, content, done)
            return
        if content:
            self.sent += len(content)
            self._ticket.data(content)  # looked up anew: a ticket may replace its own
            if self._recent is not None:
                self._recent.append(content)
        if raw:
            self._write(raw)

    def _answer_more(self, raw: bytes, content: bytes, done: bool) -> None:
        """The first bytes of a body, the last ones, those in another framing, and errors."""
        if self._error is not None:
            if self._error.take(raw, content, done):
                self._answer_error(self._error, done)
            return
        if self._stream and any(sign in content for sign in IN_STREAM):
            raw, content = self._translated(raw, content)
        if content:
            self.sent += len(content)
            self._ticket.data(content)
            if self._recent is not None:
                self._recent.append(content)
        if self._passing is Passing.WITHOUT_CHUNKS:
            raw = content
        elif self._passing is Passing.IN_CHUNKS:
            raw = chunk(content) if content else b""
        recent = self._recent if done else None
        cut = recent is not None and is_cut(b"".join(recent), self._endings)
        if done and self._chunked and not cut:
            raw += LAST
        if self._unsent:
            raw, self._unsent = self._unsent + raw, b""
            self._seldom = self._passing is not Passing.AS_IS
        if raw:
            self._write(raw)
        if cut:
            self._transaction.break_off("the event stream has no end")
        elif done:
            self._transaction.end("-", clean=self._transaction.body_complete)

    def _translated(self, raw: bytes, content: bytes) -> tuple[bytes, bytes]:
        """Events of which one is an error; as they came if not in whole chunks."""
        if raw != content and not is_whole(raw, content):
            return raw, content
        request = self._transaction.request
        told = self._policy.translate(request, 200, b"text/event-stream", content)
        if told == content:
            return raw, content
        return told if raw == content else chunk(told), told

    def _answer_error(self, error: HeldError, done: bool) -> None:
        self._error = None
        transaction = self._transaction
        told = error.content
        if done:
            request, status = transaction.request, error.head.status
            if instead := self._policy.instead(request, status, error.content):
                self._sender.answered_here(instead)
                return
            told = self._policy.translate(request, status, error.head.content_type, error.content)
        if told == error.content:  # as it came, to the byte
            self.answer_head(error.head, more=True)
            self.answer_data(error.raw, error.content, done)
        else:
            self.answer_head(error.head_for(told), more=True)
            self.answer_data(told, told, done)

    def is_told(self) -> bool:
        """Whether the ending of an event stream has passed."""
        return self._recent is not None and is_told(b"".join(self._recent), self._endings)

    def answer_failed(self, why: str, *, begun: bool) -> None:
        """llama-swap went away, or speaks another language."""
        self._sender.failed(why, begun=begun)

    def pause_body(self) -> None:
        """llama-swap is slower than the client."""
        self._sender.pause_body()

    def resume_body(self) -> None:
        """It takes more again."""
        self._sender.resume_body()
