"""Stacks of one machine, which must not get in each other's way."""

from collections.abc import Iterator, Mapping
from itertools import combinations

from herd.core.settings.consistency import ports
from herd.core.settings.problems import Problem
from herd.core.settings.schema import Settings

# Of these a machine has one, whichever stack asks for it.
_OF_THE_MAC = (
    "mac_sleep",
    "mac_restart_after_power_loss",
    "mac_wake_on_lan",
    "mac_gpu_wired_limit_mb",
    "mac_firewall_exception",
    "mac_automatic_updates",
)


def clashes(hosts: Mapping[str, Settings]) -> list[Problem]:
    """Each problem of any two of them."""
    return [
        Problem(f"{one}, {other}: {where}", f"Both are the same machine, and {what}", fix, kind)
        for one, other in combinations(sorted(hosts), 2)
        for where, what, fix, kind in _clashes(hosts[one], hosts[other])
    ]


def _clashes(a: Settings, b: Settings) -> Iterator[tuple[str, str, str, str]]:
    """Where, what, how to mend it, and its kind."""
    for key in ("stack_root", "launchd_label_prefix"):
        if getattr(a, key) == getattr(b, key):
            what = f"both say {getattr(a, key)!r}."
            yield key, what, f"give each stack its own {key}.", "settings"
    for key in _OF_THE_MAC:
        if None not in (said := [getattr(a, key), getattr(b, key)]) and said[0] != said[1]:
            what = f"want {said[0]!r} and {said[1]!r}."
            yield key, what, "say the same for both, or None for one.", "settings"
    outer, inner = sorted((a.stack_root, b.stack_root), key=len)
    if inner.startswith(f"{outer}/"):
        what = f"{inner!r} lies in {outer!r}."
        yield "stack_root", what, "put the stacks beside each other.", "settings"
    mine, other = ports(a), ports(b)
    for port in sorted(mine.keys() & other.keys()):
        where = f"{mine[port][0]} and {other[port][0]}"
        yield where, f"both want port {port}.", "give each stack its own ports.", "ports"
