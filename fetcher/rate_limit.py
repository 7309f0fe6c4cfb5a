"""How long a server wants to be left alone, by the headers of its answer."""

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime


def pause(headers: Iterable[tuple[str, str]]) -> float:
    """Seconds until it may be asked again; 0 if it does not say.

    Retry-After (RFC 9110, 10.2.3) goes first, as seconds or a date; else the limit that is used up,
    in the forms of the IETF's drafts (draft-ietf-httpapi-ratelimit-headers): `"api";r=0;t=212` is
    the Hub's.
    """
    told: dict[str, list[str]] = {}
    for name, value in headers:
        told.setdefault(name.lower(), []).append(value.strip())
    if (after := _retry_after(told.get("retry-after", []))) > 0:
        return after
    return max([0.0, *_used_up(", ".join(told.get("ratelimit", []))), *_apart(told)])


def _retry_after(told: list[str]) -> float:
    if len(told) != 1:
        return 0.0
    if (seconds := _number(told[0])) is not None:
        return seconds
    with suppress(ValueError):
        return parsedate_to_datetime(told[0]).timestamp() - time.time()
    return 0.0


def _used_up(told: str) -> Iterator[float]:
    """Of each limit of the list that has nothing left, when it has again."""
    for item in re.findall(r'(?:"(?:\\.|[^"\\])*"|[^",])+', told):
        fields = dict(re.findall(r"[;\s]([rt])\s*=\s*(\d+)", item))
        if fields.get("r", "0") == "0" and (seconds := _number(fields.get("t", ""))) is not None:
            yield seconds
    # Drafts 4 to 7: `limit=100, remaining=0, reset=50`.
    fields = dict(re.findall(r"\b(remaining|reset)\s*=\s*(\d+)", told))
    if fields.get("remaining") == "0" and (seconds := _number(fields.get("reset", ""))) is not None:
        yield seconds


def _apart(told: dict[str, list[str]]) -> Iterator[float]:
    """Of headers for each part: `RateLimit-Remaining`, `RateLimit-Reset`, and those with X-."""
    for start in ("ratelimit-", "x-ratelimit-"):
        reset = _number(" ".join(told.get(f"{start}reset", [])))
        if told.get(f"{start}remaining") == ["0"] and reset is not None:
            # Some name the moment, in seconds since 1970.
            yield reset - time.time() if reset > 1e9 else reset


def _number(text: str) -> float | None:
    plain = text.isascii() and text.isdecimal() and len(text) < 16
    return float(text) if plain else None
