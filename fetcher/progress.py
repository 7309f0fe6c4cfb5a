"""Lines for a person, one event or one look each: `NAME: 12%, 1.0 MiB of 8.0 MiB, …`."""

import sys
from collections.abc import Mapping
from contextlib import suppress

GIB, MIB, KIB = 1 << 30, 1 << 20, 1 << 10


class Gone(Exception):
    """Nobody reads what we print: the connection is gone."""


def say(name: str, text: str) -> None:
    """Raises Gone."""
    try:
        print(f"{name}: {text}", flush=True)
    except OSError:
        raise Gone from None


def complain(name: str, text: str) -> None:
    """To stderr; the exit code tells it, too."""
    with suppress(OSError):
        print(f"{name}: {text}", file=sys.stderr, flush=True)


def human(size: float, of: float | None = None) -> str:
    """A size, in the unit of what it is a part of: `1.0 MiB`, `0.40 GiB` of 8.00, `12.5 GiB`."""
    whole = size if of is None else of
    if whole >= GIB:
        return f"{size / GIB:.{2 if whole < 10 * GIB else 1}f} GiB"
    return f"{size / MIB:.1f} MiB" if whole >= MIB / 10 else f"{size / KIB:.1f} KiB"


def line(done: int, total: int, rate: float, waiting: str = "") -> str:
    """How far it is; `rate` in bytes a second, or at 0 what is waited for."""
    percent = 100 * done // total if total else 100
    text = f"{percent}%, {human(done, total)} of {human(total)}"
    if rate > 0:
        return f"{text}, {human(rate)}/s, {_clock(int((total - done) / rate))} left"
    return f"{text}, {waiting}" if waiting else text


def complete(total: int, given: Mapping[str, int], hub: str, *, alone: bool) -> str:
    """The last line; who gave what, where there are other Macs that might have."""
    text = f"complete, {human(total)}"
    if alone:
        return text
    if not any(given.values()):
        return f"{text} (all was there)"
    if set(given) == {hub} and given[hub] >= total:
        return f"{text} (all from {hub})"
    from_all = sorted(given.items(), key=lambda each: (each[0] == hub, each[0]))
    told = [f"{human(size, total)} from {name}" for name, size in from_all if size]
    return f"{text} ({', '.join(told)})"


def _clock(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds % 3600 // 60:02}:{seconds % 60:02}"
