"""Walks through the chunk framing of an answer, only to know what is content and where it ends.

The framing passes as it came. Pure: no sockets here.
"""

import re

LAST = b"0\r\n\r\n"
LONGEST_LINE = 256
LONGEST_TRAILERS = 8192

# No sign, space, underscore or 0x, all of which int() would take. An extension may follow.
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\Z")


class ChunkError(ValueError):
    """What came is no chunk."""


def chunk(data: bytes) -> bytes:
    """These bytes as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def is_whole(raw: bytes, content: bytes) -> bool:
    """Whether this content came in whole chunks, and nothing else did."""
    walker = ChunkWalker()
    try:
        walker.feed(raw)
    except ChunkError:
        return False
    return walker.between and walker.content == content


class ChunkWalker:
    """The framing of one answer.

    After each `feed`: `content` is what it held without framing, `done` whether it was the end.
    """

    __slots__ = ("_kept", "_left", "_trailers", "between", "content", "done", "surplus")

    def __init__(self) -> None:
        self.between = True  # nothing is left over, and a chunk begins
        self.content = b""
        self.done = False
        self.surplus = False  # bytes behind the end: the connection cannot be used again
        self._left = 0  # bytes to come of the current chunk, with its line end
        self._kept = b""  # an unfinished line: passed on once its rest is there
        self._trailers = -1  # bytes of trailers so far, once the last chunk was there

    def feed(self, data: bytes) -> bytes:
        """The bytes to pass on: as they came, but without the last chunk and what follows it.

        The last chunk is the caller's to write, when everything else about the answer is well;
        trailers belong to the connection, and end here.
        """
        raw = self._walk(data)
        self.between = not (self._left or self._kept or self._trailers >= 0)
        return raw

    def _walk(self, data: bytes) -> bytes:
        self.content = b""
        if self._kept:
            data, self._kept = self._kept + data, b""
        if self._trailers >= 0:
            self._through_trailers(data)
            return b""
        at, pieces = 0, list[bytes]()
        while at < len(data):
            if self._left:
                at = self._through_chunk(data, at, pieces)
                continue
            line = data.find(b"\r\n", at, at + LONGEST_LINE)
            if line < 0:
                if len(data) - at >= LONGEST_LINE:
                    raise ChunkError("a chunk size without an end")
                self._kept = data[at:]
                break
            size = _size(data[at:line])
            if not size:
                self._trailers = 0
                self._through_trailers(data[line + 2 :])
                break
            self._left = size + 2
            at = line + 2
        self.content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return data[:at]

    def _through_chunk(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Over as much of the current chunk as there is; returns the offset behind it."""
        stop = min(at + self._left, len(data))
        self._left -= stop - at
        # The last two bytes are the line end, of which one or both may be still to come.
        content = stop - max(0, 2 - self._left)
        if content > at:
            pieces.append(data[at:content])
        line_end = data[max(at, content) : stop]
        if line_end and line_end != b"\r\n"[2 - self._left - len(line_end) : 2 - self._left]:
            raise ChunkError("a chunk longer than it says")
        return stop

    def _through_trailers(self, data: bytes) -> None:
        while True:
            line = data.find(b"\r\n")
            if line < 0:
                if self._trailers + len(data) > LONGEST_TRAILERS:
                    raise ChunkError("trailers without an end")
                self._kept = data
                return
            self._trailers += line + 2
            if self._trailers > LONGEST_TRAILERS:
                raise ChunkError("trailers without an end")
            rest = data[line + 2 :]
            if line == 0:
                self.done = True
                self.surplus = bool(rest)
                return
            data = rest


def _size(line: bytes) -> int:
    """The number in a chunk's first line."""
    size = SIZES.get(line)
    if size is None:
        found = _SIZE_LINE.match(line)
        if found is None:
            raise ChunkError("not a chunk size")
        size = int(found[1], 16)
        if len(line) <= 3:
            SIZES[line] = size
    return size


SIZES: dict[bytes, int] = {}
"""What short first lines say, once one was seen. Tokens have few lengths, and a look in here is
several times faster than the expression; there are not many lines of three characters."""
