"""Counters of a program that only rise, and begin anew with it: what they rose by in between."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


def began_anew(before: Mapping[K, float], after: Mapping[K, float]) -> bool:
    """Whether a program was started again: a counter is gone, or lower than it was."""
    return any(after.get(name, -1.0) < value for name, value in before.items())


def increase(before: Mapping[K, float], after: Mapping[K, float]) -> dict[K, float]:
    """By how much each rose. One that is new began at 0, and so did all of a program that began
    anew: what it had counted before, since the first look, nobody knows any more."""
    if began_anew(before, after):
        return dict(after)
    return {name: value - before.get(name, 0.0) for name, value in after.items()}
