"""The bytes of a GGUF file's header, piecewise, as over HTTP ranges."""

import struct
from typing import Any, Protocol

# Bytes of header that are read at all.
LIMIT = 64 << 20
# One request, at first and at most: what a file is stands in its first 16 KB.
FIRST, MOST = 64 << 10, 4 << 20


class GgufError(ValueError):
    """Bytes that are no GGUF header, or none that we can read: a predicate of the file."""


class TooLong(GgufError):
    """What reaches beyond the bytes that are read at all."""


class Source(Protocol):
    """Where the bytes of a file come from."""

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset` on: fewer at the end of the file, none behind it."""
        ...


class Cursor:
    """A place in a file, of which one piece is here at a time."""

    def __init__(self, source: Source, limit: int, at: int = 0) -> None:
        self.at = at
        self._source = source
        self._limit = limit
        self._start = at
        self._piece = b""
        self._next = FIRST

    def take(self, size: int, what: str) -> bytes:
        """The next bytes."""
        self._reach(size, what)
        start = self.at - self._start
        self.at += size
        return self._piece[start : start + size]

    def unpack(self, layout: str, what: str) -> tuple[Any, ...]:
        """The next values."""
        layout = f"<{layout}"
        return struct.unpack(layout, self.take(struct.calcsize(layout), what))

    def text(self, most: int, what: str) -> str:
        """The next string, which must not be longer."""
        (size,) = self.unpack("Q", what)
        if size > most:
            raise GgufError(f"has {size} bytes in {what}, at offset {self.at}")
        return self.take(size, what).decode(errors="replace")

    def skip(self, size: int, what: str) -> None:
        """Go on behind the next bytes, without reading what is not here."""
        self.at += size
        if self.at > self._limit:
            raise TooLong(f"has {what} reach beyond its first {self._limit >> 20} MiB")

    def skip_texts(self, count: int, what: str) -> None:
        """Go on behind the next strings."""
        for _ in range(count):
            self.skip(self.unpack("Q", what)[0], what)

    def _reach(self, size: int, what: str) -> None:
        here = self.at - self._start
        if here >= 0 and here + size <= len(self._piece):
            return
        if self.at + size > self._limit:
            raise TooLong(f"has {what} reach beyond its first {self._limit >> 20} MiB")
        kept = self._piece[here:] if 0 <= here <= len(self._piece) else b""
        start = self.at + len(kept)
        wanted = max(size - len(kept), min(self._next, self._limit - start))
        self._next = min(2 * self._next, MOST)
        self._piece = kept + self._source.read(start, wanted)[:wanted]
        self._start = self.at
        if len(self._piece) < size:
            end = self._start + len(self._piece)
            raise GgufError(f"ends at offset {end}, within {what}")
