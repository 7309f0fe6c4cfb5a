"""Work that may take long, done in slices: tokens of other requests pass between two of them.

All of it together has one slice in each round of the event loop, however many want one: what waits
for its turn does so in a queue.
"""

import asyncio
from collections import deque
from time import monotonic
from typing import Protocol

SLICE_SECONDS = 0.002


class Worker(Protocol):
    """Who has such work."""

    def work(self, until: float) -> bool:
        """Goes on until this time (time.monotonic()), or to where there is nothing to do for now;
        whether it came to there."""


class TimeSlices:
    """Who has work, and whose turn it is."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: deque[Worker] = deque()
        self._until = 0.0  # the end of this round's slice; 0 if none of it was used

    def take(self, worker: Worker) -> bool:
        """Works now, if others have left time for it, or when it is its turn; whether it is at its
        end already."""
        if not self._until:
            self._until = monotonic() + SLICE_SECONDS
            self._loop.call_soon(self._round)
        if not self._queue and monotonic() < self._until and worker.work(self._until):
            return True
        self._queue.append(worker)
        return False

    def leave(self, worker: Worker) -> None:
        """It has no work any more."""
        if worker in self._queue:
            self._queue.remove(worker)

    def _round(self) -> None:
        self._until = 0.0
        if self._queue:
            self._until = monotonic() + SLICE_SECONDS
            self._loop.call_soon(self._round)
        while self._queue and monotonic() < self._until:
            worker = self._queue.popleft()
            if not worker.work(self._until):
                self._queue.append(worker)
