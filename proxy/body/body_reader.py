"""Walks through a body that is still coming, and passes on what has one meaning. Pure.

A walk is a generator over a `Body`: it reads `buffer`, lets go of what it has understood, and
raises `Refused` for what it does not let in. It yields `True` where it needs more, and `False` now
and then, so that whoever drives it can give others their turn. It knows its `Body` and not its
`BodyReader`: nothing here refers to itself, and all is freed with the last reference.
"""

import codecs
from collections.abc import Callable, Generator
from time import monotonic

from proxy.body.body_queue import BodyQueue
from proxy.http.content_coding import PIECE, Decoder
from proxy.http.refusal import bad, large, no_model

Steps = Generator[bool, None, None]
At = Generator[bool, None, int]
Walk = Callable[["Body"], Steps]

LONGEST_NAME = 512


class Body:
    """A body on its way through."""

    __slots__ = ("_limit", "_text", "buffer", "complete", "held", "model", "passed", "read")

    def __init__(self, *, text: bool, limit: int) -> None:
        self.buffer = bytearray()  # what has come and is not understood yet
        self.complete = False  # whether nothing comes behind it
        self.passed = BodyQueue()  # what may go up, once `model` is known
        self.held = 0  # bytes that wait for it
        self.read = 0  # bytes that were let go of
        self.model: str | None = None
        self._limit = limit  # of what is held
        self._text = codecs.getincrementaldecoder("utf-8")() if text else None

    def add(self, data: bytes, complete: bool) -> None:
        """More of the body."""
        self.complete = complete
        if self._text is not None and not (data.isascii() and self._text.getstate()[0] == b""):
            try:
                self._text.decode(data, final=complete)
            except UnicodeDecodeError:
                raise bad("The body is not UTF-8.") from None
        self.buffer += data

    def let_go(self, at: int) -> None:
        """What is before this offset is understood, and goes up."""
        if at:
            self.put(bytes(self.buffer[:at]))
            self.drop(at)

    def drop(self, at: int) -> None:
        """What is before this offset is understood, and does not go up."""
        del self.buffer[:at]
        self.read += at

    def put(self, data: bytes) -> None:
        """Something to go up."""
        self.passed.add(data)
        if self.model is None:
            self.held += len(data)
            if self.held > self._limit:
                raise large(
                    f"No model was named in the first {self._limit >> 20} MiB of the body, and "
                    "more is not kept. Send 'model' first, before what is long."
                )

    def found(self, model: str, front: bytes) -> None:
        """The model, written so that nobody can read another one, before all else."""
        if not model:
            raise no_model("'model' is empty. Name one of those in /v1/models.")
        self.model = model
        self.passed.add_before(front)
        self.held = 0

    def more(self, at: int = 0) -> Steps:
        """Lets go of what is before an offset, and waits for what is behind it."""
        if self.complete:
            raise bad(f"The body ends early, behind {self.read + len(self.buffer)} bytes.")
        self.let_go(at)
        yield True


def checked(model: str) -> str:
    """A name that is the same for everybody who reads it."""
    if len(model.encode(errors="surrogatepass")) > LONGEST_NAME:
        raise no_model(f"The name in 'model' is longer than {LONGEST_NAME} bytes.")
    if not model.isprintable():  # surrogates and controls are not
        raise no_model("'model' is not a plain name: it has characters that cannot be printed.")
    return model


class BodyReader:
    """Drives a walk through what comes."""

    __slots__ = ("_came", "_decoder", "_last", "_steps", "body", "over")

    def __init__(
        self, walk: Walk, *, text: bool, limit: int, decoder: Decoder | None = None
    ) -> None:
        self.body = Body(text=text, limit=limit)
        self.over = False
        self._steps = walk(self.body)
        self._decoder = decoder
        self._came = bytearray()  # what is not looked at yet
        self._last = False

    def feed(self, data: bytes, complete: bool) -> None:
        """More of the body, which may be nothing at its end."""
        self._came += data
        self._last = complete

    def go_on(self, until: float) -> bool:
        """Through all that came, or until this time (of time.monotonic()); whether it is through.
        Raises Refused."""
        while True:
            for waits in self._steps:
                if waits:
                    break
                if monotonic() > until:
                    return False
            else:
                self.over = True
                return True
            if (piece := self._next()) is None:
                return True
            self.body.add(*piece)
            if monotonic() > until:
                return False

    def _next(self) -> tuple[bytes, bool] | None:
        """Some of what came, and whether it is the last; None if there is nothing for now."""
        came = self._came
        if self._decoder is not None:
            return self._decoder.take(came, self._last)
        last = self._last and len(came) <= PIECE
        if not (came or last):
            return None
        piece = bytes(came[:PIECE])
        del came[:PIECE]
        return piece, last

    @property
    def size(self) -> int:
        """Bytes that are kept here."""
        return len(self._came) + len(self.body.buffer) + self.body.passed.size
