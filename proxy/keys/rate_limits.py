"""How much each name may ask for: per minute, per day, and at once. Pure; the caller tells time.

Minutes are token buckets that fill evenly. A request is let in while there is anything left, and
its tokens are taken when they are known; a bucket in debt fills up before the next is let in.
"""

import math
from collections.abc import Callable, Container
from dataclasses import dataclass

from proxy.keys.key import Limits

DAY = 86400
# A wait this long is not worth trying again by itself; OpenAI's and Anthropic's clients ask this.
LONG_WAIT = 60

Headers = list[tuple[str, str]]


class _Bucket:
    """So many per minute."""

    __slots__ = ("_at", "level", "size")

    def __init__(self, size: int, now: float) -> None:
        self.size = size
        self.level = float(size)
        self._at = now

    def resize(self, size: int) -> None:
        """What is spent stays spent."""
        self.level += size - self.size
        self.size = size

    def fill(self, now: float) -> None:
        """Adds what has come in since the last time."""
        self.level = min(self.size, self.level + (now - self._at) * self.size / 60)
        self._at = now

    def wait(self, wanted: float) -> float:
        """Seconds until this much is there, at the level of the last fill."""
        return max(0.0, (wanted - self.level) * 60 / self.size)


@dataclass(frozen=True, slots=True)
class Denied:
    """Which limit is reached, and when to come again."""

    what: str
    limit: int
    wait: float

    def message(self) -> str:
        """For the client's user."""
        when = f"Try again in {duration(self.wait)}." if self.wait else "Wait for one to end."
        return f"This API key has reached its limit of {self.limit} {self.what}. {when}"

    def headers(self) -> Headers:
        """What clients wait by."""
        seconds = max(1, math.ceil(self.wait))
        again = [("x-should-retry", "false")] if seconds > LONG_WAIT else []
        return [("Retry-After", str(seconds)), *again]


class Meter:
    """The state of one name."""

    __slots__ = ("_day", "_limits", "_requests", "_tokens", "_used", "elsewhere", "open")

    def __init__(self, limits: Limits, now: float) -> None:
        self.open = 0
        self.elsewhere = 0
        """How many are open at other gateways of the herd."""
        self._limits = Limits()
        self._requests: _Bucket | None = None
        self._tokens: _Bucket | None = None
        self._day, self._used = 0, 0
        self.limit(limits, now)

    def limit(self, limits: Limits, now: float) -> None:
        """New limits; what was used so far counts on."""
        if limits is not self._limits:
            self._requests = _resized(self._requests, limits.rpm, now)
            self._tokens = _resized(self._tokens, limits.tpm, now)
            self._limits = limits

    def hold(self) -> Denied | None:
        """One request more that is under way, though not let in yet; or why not."""
        parallel = self._limits.parallel
        if parallel is not None and self.open + self.elsewhere >= parallel:
            return Denied("requests at once", parallel, 0)
        self.open += 1
        return None

    def enter(self, now: float, today: float) -> Denied | None:
        """One request more, or why not. `now` is monotonic, `today` is seconds since 1970."""
        limits = self._limits
        if limits.parallel is not None and self.open + self.elsewhere >= limits.parallel:
            return Denied("requests at once", limits.parallel, 0)
        if limits.tpd is not None and self.used_by_all(today) >= limits.tpd:
            return Denied("tokens per day", limits.tpd, DAY - today % DAY)
        if (tokens := self._tokens) is not None:
            tokens.fill(now)
            if tokens.level < 1:
                return Denied("tokens per minute", tokens.size, tokens.wait(1))
        if (requests := self._requests) is not None:
            requests.fill(now)
            if requests.level < 1:
                return Denied("requests per minute", requests.size, requests.wait(1))
            requests.level -= 1
        self.open += 1
        return None

    def leave(self) -> None:
        """A request that was let in is over."""
        self.open -= 1

    def charge(self, tokens: int, today: float) -> None:
        """Takes tokens; negative ones are given back."""
        if self._tokens is not None:
            self._tokens.level -= tokens
        self._used = self.used(today) + tokens

    def charge_today(self, tokens: int, today: float) -> None:
        """What was used of this day before, by an earlier process: the minute is another one."""
        self._used = self.used(today) + tokens

    def used(self, today: float) -> int:
        """Tokens of this day, which ends at midnight UTC."""
        if (day := int(today // DAY)) != self._day:
            self._day, self._used = day, 0
        return self._used

    def used_by_all(self, today: float) -> int:
        """The same, with what was used at other gateways."""
        return self.used(today)

    def headers(self, now: float, today: float) -> Headers:
        """What is left, as OpenAI's clients read it."""
        lines: Headers = []
        if (requests := self._requests) is not None:
            requests.fill(now)
            lines += _told("requests", requests.size, requests.level, requests.wait(requests.size))
        left = [] if self._tokens is None else [self._of_minute(self._tokens, now)]
        if (day := self._limits.tpd) is not None:
            left.append((day - self.used_by_all(today), day, DAY - today % DAY))
        if left:
            level, size, reset = min(left)
            lines += _told("tokens", size, level, reset)
        return lines

    @staticmethod
    def _of_minute(tokens: _Bucket, now: float) -> tuple[float, int, float]:
        tokens.fill(now)
        return tokens.level, tokens.size, tokens.wait(tokens.size)


class Meters:
    """Those of all names."""

    def __init__(self, used_today: Callable[[str], int]) -> None:
        self._meters: dict[str, Meter] = {}
        self._used_today = used_today

    def of(self, name: str, limits: Limits, now: float, today: float) -> Meter:
        """The meter of a name, with these limits from now on."""
        meter = self._meters.get(name)
        if meter is None:
            meter = self._begun(name, limits, self._used_today(name), now, today)
        meter.limit(limits, now)
        return meter

    def keep(self, names: Container[str]) -> None:
        """Forgets all other names, but those that have a request open."""
        for name, meter in list(self._meters.items()):
            if name not in names and not meter.open:
                del self._meters[name]

    def _begun(self, name: str, limits: Limits, used: int, now: float, today: float) -> Meter:
        meter = self._meters[name] = Meter(limits, now)
        meter.charge_today(used, today)
        return meter


def duration(seconds: float) -> str:
    """As OpenAI writes it: `120ms`, `7.5s`, `6m0s`, `23h59m59s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    if seconds < 60:
        return f"{math.ceil(seconds * 10) / 10:g}s"
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s"


def _told(what: str, size: int, level: float, reset: float) -> Headers:
    return [
        (f"x-ratelimit-limit-{what}", str(size)),
        (f"x-ratelimit-remaining-{what}", str(max(0, int(level)))),
        (f"x-ratelimit-reset-{what}", duration(reset)),
    ]


def _resized(bucket: _Bucket | None, size: int | None, now: float) -> _Bucket | None:
    if size is None:
        return None
    if bucket is None:
        return _Bucket(size, now)
    bucket.resize(size)
    return bucket
