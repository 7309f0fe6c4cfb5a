"""Answers other gateways: at once what they did not hear of yet, else as soon as there is some."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from proxy.gateways.message import Answer, since, write
from proxy.keys.shared_limits import SharedMeters

HOLD_SECONDS = 2.0
"""How long one waits for news; then it is told that there are none, and by that of our being."""


class Answering:
    """What is told of the limits. Who asks is remembered while it waits, and no longer."""

    def __init__(self, meters: SharedMeters, clock: Callable[[], float]) -> None:
        self._meters = meters
        self._clock = clock
        self._ending = False
        self._news: asyncio.Event | None = None  # while somebody waits
        meters.on_change = self._wake

    async def answer(self, query: str) -> bytes:
        """The body; ValueError for another question."""
        heard = since(query)
        if heard == self._meters.now and not self._ending:
            event = self._news = self._news or asyncio.Event()
            with suppress(TimeoutError):
                async with asyncio.timeout(HOLD_SECONDS):
                    await event.wait()
        told = self._meters.news(heard, self._clock(), time.time())
        return write(Answer(self._meters.now, told))

    def end(self) -> None:
        """Keeps nobody any more."""
        self._ending = True
        self._wake()

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None
