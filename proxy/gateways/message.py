"""A question of a gateway and its answer. Pure; what has not exactly this form is refused.

    GET /gateways/limits?after=EPOCH.AT
    {"epoch": "8f3a...", "at": 17, "limits": {"anna": [1, 40, 9000, 20786, 51000, 2.5, 800.0]}}

The numbers are `Told`, in its order.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from proxy.keys.shared_limits import Since, Told

PATH = "/gateways/limits"

_EPOCH = re.compile("[0-9a-f]{16}")
_AFTER = re.compile("after=([0-9a-f]{16})[.](0|[1-9][0-9]{0,15})")
_MOST = 2**53  # as in the file of keys
_WHOLE = (
    (0, _MOST), (0, _MOST), (-_MOST, _MOST), (0, 10**7), (-_MOST, _MOST),
)  # fmt: skip
"""Least and most of the whole numbers; tokens may be given back on another day than taken."""


class Answer(NamedTuple):
    """What a gateway told, and of what time."""

    now: Since
    told: Mapping[str, Told]


def target(since: Since | None) -> str:
    """What is asked for."""
    return PATH if since is None else f"{PATH}?after={since.epoch}.{since.at}"


def since(query: str) -> Since | None:
    """What the query of a question says; ValueError if it is none."""
    if not query:
        return None
    if not (found := _AFTER.fullmatch(query)):
        raise ValueError("not after=EPOCH.AT")
    return Since(found[1], int(found[2]))


def write(answer: Answer) -> bytes:
    """The body."""
    limits = {
        name: (*told[:5], round(told.requests_missing, 3), round(told.tokens_missing, 3))
        for name, told in answer.told.items()
    }
    epoch, at = answer.now
    return json.dumps({"epoch": epoch, "at": at, "limits": limits}).encode()


def read(body: bytes) -> Answer:
    """The answer of a body; ValueError if it is none."""
    try:
        found: Any = json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_none)
    except RecursionError:
        raise ValueError("too deep") from None
    if not isinstance(found, dict) or list(found) != ["epoch", "at", "limits"]:
        raise ValueError("other fields")
    epoch, at, limits = found.values()
    if not (isinstance(epoch, str) and _EPOCH.fullmatch(epoch)) or not _is_whole(at, 0, _MOST):
        raise ValueError("no time")
    if not isinstance(limits, dict):
        raise ValueError("no limits")
    return Answer(Since(epoch, at), {name: _told(numbers) for name, numbers in limits.items()})


def _told(numbers: object) -> Told:
    if not isinstance(numbers, list) or len(numbers) != len(Told._fields):
        raise ValueError("not the numbers of a limit")
    whole, missing = numbers[: len(_WHOLE)], numbers[len(_WHOLE) :]
    if not all(_is_whole(n, *bounds) for n, bounds in zip(whole, _WHOLE, strict=True)):
        raise ValueError("a number that is none")
    if not all(type(n) in (int, float) and 0 <= n <= _MOST for n in missing):
        raise ValueError("a number that is none")
    return Told(*numbers)


def _is_whole(value: object, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name twice")
    return found


def _none(constant: str) -> float:
    raise ValueError("not a number")
