"""A key's limits over several gateways of a herd: each counts what the others let in, too.
Pure; the caller tells time.

A gateway tells sums and no events, and numbers each change: who heard of all up to a number is told
the sums that changed since. So one that was not heard is made up for by the next, nothing is kept
for anybody who does not ask, and a lost answer is no request too many.
"""

import secrets
from collections.abc import Callable, Container, Mapping
from typing import NamedTuple

from proxy.keys.key import Limits
from proxy.keys.rate_limits import DAY, Denied, Meter, Meters


class Told(NamedTuple):
    """What one gateway says of a name: `open` requests; `requests` and `tokens` since it began to
    count; tokens `used` there on the `day` (since 1970, UTC); and how much is missing in what it
    has left of each minute, whoever took it, which comes back with time. Nothing of it is an hour:
    clocks differ."""

    open: int
    requests: int
    tokens: int
    day: int
    used: int
    requests_missing: float
    tokens_missing: float


class Since(NamedTuple):
    """A number of a change, of one gateway since its start (`epoch`)."""

    epoch: str
    at: int


class SharedMeter(Meter):
    """A meter that says when it changes, and hears what others say of the same name."""

    __slots__ = ("_requested", "_said", "_spent", "_told", "_unheard")

    def __init__(self, limits: Limits, now: float, said: Callable[[], None]) -> None:
        super().__init__(limits, now)
        self._said = said
        self._requested = self._spent = 0
        self._told: dict[str, Told] = {}  # by gateway, while it is heard
        self._unheard: dict[str, Told] = {}  # the last word of those that are not

    def hold(self) -> Denied | None:
        if (denied := super().hold()) is None:
            self._said()
        return denied

    def enter(self, now: float, today: float) -> Denied | None:
        if (denied := super().enter(now, today)) is None:
            self._requested += 1
            self._said()
        return denied

    def leave(self) -> None:
        super().leave()
        self._said()

    def charge(self, tokens: int, today: float) -> None:
        super().charge(tokens, today)
        self._spent += tokens
        self._said()

    def used_by_all(self, today: float) -> int:
        day, own = int(today // DAY), self.used(today)
        every = (*self._told.values(), *self._unheard.values())
        return own + sum(told.used for told in every if told.day == day)

    def tell(self, now: float, today: float) -> Told:
        """Its sums."""
        missing = [0.0, 0.0]
        for index, bucket in enumerate((self._requests, self._tokens)):
            if bucket is not None:
                bucket.fill(now)
                missing[index] = max(0.0, bucket.size - bucket.level)
        used = self.used(today)  # before the day that this makes
        return Told(self.open, self._requested, self._spent, self._day, used, *missing)

    def hear(self, gateway: str, told: Told, now: float) -> None:
        """Takes what another one let in. At its first word the lesser of what both have left
        counts: what was let in while they did not hear each other may be long ago."""
        before = self._told.get(gateway)
        for bucket, more, missing in (
            (self._requests, told.requests - before.requests if before else 0,
             told.requests_missing),
            (self._tokens, told.tokens - before.tokens if before else 0, told.tokens_missing),
        ):  # fmt: skip
            if bucket is not None:
                bucket.fill(now)
                bucket.level = (
                    bucket.level - more if before else min(bucket.level, bucket.size - missing)
                )
        self._unheard.pop(gateway, None)
        self._told[gateway] = told
        self.elsewhere = sum(each.open for each in self._told.values())

    def unhear(self, gateway: str) -> None:
        """It is not heard any more: what it has open does not count, what it used of the day
        does."""
        if told := self._told.pop(gateway, None):
            self._unheard[gateway] = told
            self.elsewhere = sum(each.open for each in self._told.values())


class SharedMeters(Meters):
    """Those of all names, what others are told of them, and how far each other one was heard."""

    def __init__(self, used_today: Callable[[str], int]) -> None:
        super().__init__(used_today)
        self.on_change: Callable[[], None] = lambda: None
        self._shared: dict[str, SharedMeter] = {}
        self._epoch, self._at = secrets.token_hex(8), 0
        self._changes: dict[str, int] = {}  # by name, the last one last
        self._heard: dict[str, Since] = {}
        self._again: set[str] = set()  # who is to tell all with its next answer

    # -- What is told

    @property
    def now(self) -> Since:
        """The last change."""
        return Since(self._epoch, self._at)

    def begin(
        self, limits: Mapping[str, Limits], used: Mapping[str, int], now: float, today: float
    ) -> None:
        """Has a meter for each of these names, so that others hear what was used of the day."""
        for name, own in limits.items():
            if name not in self._shared:
                self._begun(name, own, used.get(name, 0), now, today)

    def news(self, since: Since | None, now: float, today: float) -> dict[str, Told]:
        """What changed; all, for one who heard of nothing yet, or of another start."""
        after = since.at if since is not None and since.epoch == self._epoch else -1
        names = []
        for name in reversed(self._changes):
            if self._changes[name] <= after:
                break
            names.append(name)
        return {name: self._shared[name].tell(now, today) for name in names}

    # -- What is heard

    def ask(self, gateway: str) -> Since | None:
        """From where on it is to tell; None is from the beginning."""
        since = self._heard.get(gateway)
        if since is not None and gateway in self._again:
            self._again.discard(gateway)
            return Since(since.epoch, 0)
        return since

    def hear(
        self, gateway: str, until: Since, told: Mapping[str, Told],
        limits: Callable[[str], Limits | None], now: float, today: float,
    ) -> None:  # fmt: skip
        """Takes what another one told; of names without limits here nothing is kept."""
        before = self._heard.get(gateway)
        if before is not None and before.epoch != until.epoch:
            self.unhear(gateway)
        self._heard[gateway] = until
        for name, each in told.items():
            if (own := limits(name)) is not None:
                self.of(name, own, now, today)
                self._shared[name].hear(gateway, each, now)

    def unhear(self, gateway: str) -> None:
        """It does not answer."""
        if self._heard.pop(gateway, None):
            for meter in self._shared.values():
                meter.unhear(gateway)

    # -- Meters

    def keep(self, names: Container[str]) -> None:
        """As before, and hears all again, as names may have got limits. Who comes again under a
        name that is gone counts from nothing, which others would take for less than they heard: so
        that is another beginning for all."""
        super().keep(names)
        self._again.update(self._heard)
        if gone := self._shared.keys() - self._meters.keys():
            for name in gone:
                del self._shared[name], self._changes[name]
            self._epoch, self._at = secrets.token_hex(8), self._at + 1
            self.on_change()

    def _begun(self, name: str, limits: Limits, used: int, now: float, today: float) -> SharedMeter:
        meter = SharedMeter(limits, now, lambda: self._said(name))
        self._meters[name] = self._shared[name] = meter
        meter.charge_today(used, today)
        self._said(name)
        return meter

    def _said(self, name: str) -> None:
        self._at += 1
        self._changes.pop(name, None)
        self._changes[name] = self._at
        self.on_change()
