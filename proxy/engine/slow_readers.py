"""How long a client may keep its answer waiting. Pure; the caller tells time.

While it takes nothing, llama-swap waits with it, and does not let go of the model for others. So a
client has some time in all, beyond what it needs at a least rate: drop by drop is no progress.
"""

LEAST_RATE = 1024
"""Bytes a second: three or four tokens of a stream, which is no reader's network."""


class Patience:
    """Of one connection. It runs while more waits for the client than is kept for one."""

    __slots__ = ("_since", "_used", "_waiting")

    def __init__(self) -> None:
        self._used = 0.0
        self._since: float | None = None  # it became full
        self._waiting = 0  # bytes then

    def full(self, now: float, waiting: int) -> None:
        """So much waits, and no more is taken from llama-swap."""
        self._since, self._waiting = now, waiting

    def drained(self, now: float, waiting: int) -> None:
        """The client has taken most of it."""
        self._used, self._since = self.used(now, waiting), None

    def used(self, now: float, waiting: int) -> float:
        """Seconds that it was waited for, without what it had a right to."""
        if self._since is None:
            return self._used
        self._waiting = max(self._waiting, waiting)  # what was on its way came, too
        taken = self._waiting - waiting
        return max(0.0, self._used + now - self._since - taken / LEAST_RATE)
