"""Whether a file comes slower than it would from the Hub, from wherever it comes; pure.

Other Macs may be slow, or say what is not so. How fast is fast enough nobody can tell beforehand,
as some have a slow line to the Hub: so what is not from the Hub is compared to a sample of it, now
and then, and whoever would take twice as long is not waited for any more. Nobody is worse off than
by a few times what the Hub takes, and a fleet on a slow line goes on sharing.
"""

SMALLEST_SAMPLE, LARGEST_SAMPLE = 16 << 10, 8 << 20
SAMPLE_SECONDS = 10.0
TIMES = 2
"""How many times as long another source may take: the Hub is not asked for a small gain."""


def sample_size(size: int) -> int:
    """Bytes of a file that tell how fast the Hub is: few of it, as they are thrown away."""
    return min(size, max(SMALLEST_SAMPLE, min(LARGEST_SAMPLE, size // 64)))


class Watch:
    """Over one file that comes from elsewhere; times are seconds of one clock.

    What a source has counts once: who loses bytes and gains them again has gained nothing.
    """

    def __init__(self, now: float, first: float) -> None:
        self._since, self._until = now, now + first
        self._levels: dict[str, int] = {}
        self._gain = 0

    def note(self, source: str, level: int) -> None:
        """There are so many bytes at one source."""
        before = self._levels.setdefault(source, level)
        if level > before:
            self._gain += level - before
            self._levels[source] = level

    def is_due(self, now: float) -> bool:
        """Whether it is time for a comparison."""
        return now >= self._until

    def wait(self, now: float, pause: float) -> None:
        """No comparison before then, such as when the Hub gave no sample."""
        self._until = now + pause

    def is_slower(self, now: float, left: int, missing: int, hub: float) -> bool:
        """Whether `left` bytes at the pace until now take longer than the `missing` ones of the
        Hub, at `hub` bytes a second. The next comparison comes after twice the time."""
        period = now - self._since
        pace = self._gain / period if period > 0 else 0.0
        self._since, self._until, self._gain = now, now + 2 * period, 0
        return left * hub > TIMES * missing * pace
