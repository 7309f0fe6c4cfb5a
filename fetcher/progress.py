"""Lines for a person, one event or one look each: `NAME: 12%, 1.0 MiB of 8.0 MiB, …`."""

import sys
from collections.abc import Mapping
from contextlib import suppress

GIB, MIB = 1 << 30, 1 << 20


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


def human(size: float) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB / 10 else f"{size / MIB:.1f} MiB"


def line(word: str, done: int, total: int, begun_at: int, seconds: float) -> str:
    """How far it is; the rate is that since `begun_at` bytes were there, `seconds` ago."""
    rate = (done - begun_at) / seconds if seconds > 0 else 0.0
    left = f", {_clock(int((total - done) / rate))} left" if rate > 0 else ""
    percent = 100 * done // total if total else 100
    return f"{word}{percent}%, {human(done)} of {human(total)}, {human(rate)}/s{left}"


def complete(total: int, given: Mapping[str, int], hub: str) -> str:
    """The last line; who gave what, if it was not the Hub alone."""
    text = f"complete, {human(total)}"
    if set(given) <= {hub}:
        return text
    from_all = sorted(given.items(), key=lambda each: (each[0] == hub, each[0]))
    return f"{text} ({', '.join(f'{human(size)} from {name}' for name, size in from_all)})"


def _clock(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds % 3600 // 60:02}:{seconds % 60:02}"
