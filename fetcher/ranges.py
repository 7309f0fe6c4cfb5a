"""Which bytes of a file are there: half-open ranges, sorted, none touching another; pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class Ranges:
    """A set of bytes, by their offsets."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.total = 0
        for start, end in ranges:
            self.add(start, end)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._starts, self._ends, strict=True))

    def add(self, start: int, end: int) -> None:
        """Adds [start, end), whatever of it is there already."""
        if start >= end:
            return
        # What the new one touches becomes one with it.
        first, last = bisect_left(self._ends, start), bisect_right(self._starts, end)
        if first < last:
            start, end = min(start, self._starts[first]), max(end, self._ends[last - 1])
        gone = sum(self._ends[n] - self._starts[n] for n in range(first, last))
        self._starts[first:last], self._ends[first:last] = [start], [end]
        self.total += end - start - gone

    def gaps(self, end: int) -> Iterator[tuple[int, int]]:
        """What is missing of [0, end)."""
        at = 0
        for start, stop in self:
            if start >= end:
                break
            if at < start:
                yield at, start
            at = stop
        if at < end:
            yield at, end
