"""One model of the run, and how far it is."""

import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence

from fetcher.errors import Failure
from fetcher.item import Item, State
from fetcher.pace import Pace
from fetcher.progress import human, line, say

FIRST_LOOK, NEXT_LOOK = 1.0, 5.0
"""Seconds until a line of progress, and between two of them."""


class Work:
    """A model's files, and the figures of its progress."""

    def __init__(self, name: str, items: Sequence[Item]) -> None:
        self.name, self.items = name, items
        self.total = sum(item.file.size for item in items)
        self.failed = self.done = False
        self._waiting = self._told = ""
        self._fetched, self._verified = Pace(), Pace()
        self._shown = -1

    @property
    def is_over(self) -> bool:
        return self.failed or self.done

    @property
    def got(self) -> int:
        """Bytes that are there, verified or not."""
        return sum(item.got for item in self.items)

    @property
    def given(self) -> Counter[str]:
        """Bytes that this run got, by who gave them."""
        return sum((Counter(item.given) for item in self.items), Counter())

    def has(self, *states: State) -> bool:
        """Whether any file is in one of these."""
        return any(item.state in states for item in self.items)

    def say(self, text: str) -> None:
        say(self.name, text)

    def look(self, *, alone: bool) -> None:
        """Prints how far it is: if it has moved, or is the only one to show a sign of life."""
        now, got = time.monotonic(), self.got
        if hashes := self._hashes():
            total, done = sum(i.file.size for i in hashes), sum(i.hashed for i in hashes)
            self.say(f"verifying {line(done, total, self._verified.rate(now))}")
        if self.has(State.GET) and (alone or got != self._shown):
            self._shown = got
            waiting = self._waiting or "waiting for the network"
            self.say(line(got, self.total, self._fetched.rate(now), waiting))

    def note(self) -> None:
        """Counts the bytes, several times a second."""
        now = time.monotonic()
        self._fetched.note(now, self.got)
        self._verified.note(now, sum(item.hashed for item in self._hashes()))
        if self._shown < 0:
            self._shown = self.got

    def tell_waiting(self, text: str) -> None:
        """Once for each change; also what progress says while nothing moves."""
        self._waiting = text
        if text and text != self._told:
            self.say(text)
            self._told = text

    def _hashes(self) -> list[Item]:
        return [item for item in self.items if item.state in (State.ADOPT, State.CHECK)]


def find_room(works: Iterable[Work]) -> list[tuple[Work, Failure]]:
    """Models for whose missing bytes there is no room on their disk, beside those before them."""
    free: dict[int, int] = {}
    seen: set[Item] = set()
    short = []
    for work in works:
        missing = {item for item in work.items if item.state is State.GET} - seen
        if not missing:
            continue
        directory = work.items[0].directory
        disk = directory.stat().st_dev
        if disk not in free:
            told = os.statvfs(directory)
            free[disk] = told.f_bavail * told.f_frsize
        need = sum(item.file.size - item.pieces.have for item in missing)
        if need > free[disk]:
            there = f"{human(need)} are still to be fetched, but {human(free[disk])} are free"
            short.append((work, Failure(there)))
            continue
        seen |= missing
        free[disk] -= need
    return short
