"""How fast something grows of late, and whether it does at all; pure."""

from collections import deque

WINDOW = 12.0
"""Seconds that a rate is of: it shall not jump about, nor tell of what is long past."""

STILL = 5.0
"""Seconds without a byte after which nothing moves."""


class Pace:
    """Of bytes that are counted several times a second; times are seconds of one clock."""

    def __init__(self) -> None:
        self._counts: deque[tuple[float, int]] = deque()
        self._moved = float("-inf")

    def note(self, now: float, done: int) -> None:
        """There are so many bytes now."""
        counts = self._counts
        before = counts[-1] if counts else (now, done)
        if done < before[1]:
            # They came wrong, or are another file's.
            counts.clear()
            self._moved = float("-inf")
        elif done > before[1]:
            if not self._moves(now):
                # A pause tells nothing of what comes after it.
                counts.clear()
                counts.append(before)
            self._moved = now
        counts.append((now, done))
        while len(counts) > 2 and counts[1][0] < now - WINDOW:
            counts.popleft()

    def rate(self, now: float) -> float:
        """Bytes a second; 0 while nothing moves."""
        if not self._moves(now):
            return 0.0
        (since, had), (until, has) = self._counts[0], self._counts[-1]
        return (has - had) / (until - since) if until > since else 0.0

    def _moves(self, now: float) -> bool:
        return now - self._moved < STILL
