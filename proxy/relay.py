"""The answer's way down: from llama-swap's connection to the client's, as it comes.

`answer_data` is called for each token by `upstream.Connection`, and writes to the client's
transport itself: between two sockets there are these two methods and the ticket's.
"""

from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING

from proxy import answer
from proxy.answer import AnswerHead, Framing
from proxy.chunks import LAST, chunk
from proxy.endings import is_cut
from proxy.exchange import Ending, Ticket

if TYPE_CHECKING:
    from proxy.forward import Forwarding
    from proxy.transaction import Transaction

RECENT = 12  # pieces of a stream in which its ending is looked for


class Passing(Enum):
    """What happens to the bytes of an answer."""

    AS_IS = auto()
    WITHOUT_CHUNKS = auto()  # for a client that speaks HTTP/1.0
    IN_CHUNKS = auto()  # the end of llama-swap's connection is the end of its answer


class Relay:
    """One answer; the `upstream.Owner` of the connection it comes from."""

    __slots__ = (
        "_as_is",
        "_chunked",
        "_endings",
        "_forwarding",
        "_passing",
        "_recent",
        "_ticket",
        "_transaction",
        "_unsent",
        "_write",
        "sent",
    )

    def __init__(
        self,
        transaction: "Transaction",
        forwarding: "Forwarding",
        ticket: Ticket,
        endings: tuple[Ending, ...],
    ) -> None:
        self._transaction = transaction
        self._forwarding = forwarding
        self._ticket = ticket
        self._endings = endings
        self._write = transaction.client.write
        self.sent = 0  # of the body, without framing
        self._passing = Passing.AS_IS
        self._as_is = True
        self._chunked = False  # for the client
        self._unsent = b""  # the head of the answer, for a moment
        self._recent: deque[bytes] | None = None  # the end so far of a stream with known endings

    def answer_head(self, head: AnswerHead, *, more: bool) -> None:
        """The head goes out now: the client sees it long before the first token."""
        transaction = self._transaction
        self._forwarding.answered()
        transaction.status = head.status
        # A body that nobody reads to its end is in the way of another request.
        close = transaction.close = transaction.must_close() or not transaction.body_complete
        chunked = head.framing is Framing.CHUNKED
        if transaction.old:
            self._passing = Passing.WITHOUT_CHUNKS
        elif head.framing is Framing.CONNECTION:
            self._passing = Passing.IN_CHUNKS
            chunked = True
        self._as_is = self._passing is Passing.AS_IS
        self._chunked = chunked and not transaction.old
        added = self._ticket.head(head.status, head.headers)
        if self._endings and head.event_stream and head.status == 200 and chunked:
            self._recent = deque(maxlen=RECENT)
        data = answer.for_client(
            head, transaction.request.id, added, chunked=self._chunked, close=close
        )
        if more:
            self._unsent = data  # to go out in one write with what follows
        else:
            self._write(data)

    def answer_data(self, raw: bytes, content: bytes, done: bool) -> None:
        """A token passes. Runs for each of them, so the usual case is short: tell the policy, and
        write what came as it came."""
        if content:
            self.sent += len(content)
            self._ticket.data(content)  # looked up anew: a ticket may replace its own
            if self._recent is not None:
                self._recent.append(content)
        if done or not self._as_is or self._unsent:
            self._seldom(raw, content, done)
        elif raw:
            self._write(raw)

    def _seldom(self, raw: bytes, content: bytes, done: bool) -> None:
        """The first bytes of a body, the last ones, and those in another framing."""
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
        if raw:
            self._write(raw)
        if cut:
            self._transaction.break_off("the event stream has no end")
        elif done:
            self._transaction.end("-", clean=self._transaction.body_complete)

    def answer_failed(self, why: str, *, begun: bool) -> None:
        """llama-swap went away, or speaks another language."""
        self._forwarding.failed(why, begun=begun)

    def pause_body(self) -> None:
        """llama-swap is slower than the client."""
        self._transaction.client.wire.pause()

    def resume_body(self) -> None:
        """It takes more again."""
        self._transaction.client.wire.resume()
