"""Walks through a body that is still coming, one piece at a time. Pure.

A walk is a generator: it reads `buffer`, yields when it needs more, and returns what it found. So
what has come is looked at once, however small the pieces are.
"""

from collections.abc import Callable, Generator, Iterator

Steps = Generator[None, None, str | None]


class Walker:
    """Runs a walk; `model` is what it returned."""

    def __init__(self, walk: Callable[["Walker"], Steps]) -> None:
        self.buffer = bytearray()  # all that has come
        self.complete = False
        self.model: str | None = None
        self._walk: Iterator[None] = walk(self)

    def feed(self, data: bytes, complete: bool) -> bool:
        """Takes more of the body; whether the search is over."""
        self.buffer += data
        self.complete = complete
        try:
            next(self._walk)
        except StopIteration as over:
            self.model = over.value or None
            return True
        return complete

    def byte(self, at: int) -> Generator[None, None, int]:
        """The byte at an offset, waited for; -1 behind the end."""
        while at >= len(self.buffer):
            if self.complete:
                return -1
            yield
        return self.buffer[at]

    def find(self, text: bytes, at: int) -> Generator[None, None, int]:
        """Where a text is next, waited for; -1 if nowhere."""
        while (found := self.buffer.find(text, at)) < 0:
            if self.complete:
                return -1
            at = max(at, len(self.buffer) - len(text) + 1)
            yield
        return found
