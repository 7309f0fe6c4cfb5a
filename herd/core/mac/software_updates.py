"""Updates of macOS that install themselves and restart a server: what `defaults` has of them.

A key that is absent counts as on (usnistgov/macos_security; tuist/tuist #13399), and what only
checks or downloads data is let be: those restart nothing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from herd.core.mac.root_command import Command
from herd.core.settings.problems import Problem
from herd.core.settings.schema import Settings

DEFAULTS = "/usr/bin/defaults"
DOMAIN = "/Library/Preferences/com.apple.SoftwareUpdate"

_SPLAT = "SplatEnabled"  # Background Security Improvements, from 26.1 on; they may restart, too
KEYS = ("AutomaticDownload", "AutomaticallyInstallMacOSUpdates", "CriticalUpdateInstall", _SPLAT)
ABSENT, ON, OFF = "absent", "true", "false"
_PREFIX = "updates: "

# "    AutomaticDownload = 1;" of a domain's own keys; deeper ones belong to what it nests.
_ROW = re.compile(r" {4}\"?(\w+)\"? = \"?(\w+)\"?;\s*")


@dataclass(frozen=True)
class Updates:
    """What is set of KEYS, and what of them a profile sets: "true" or "false"."""

    own: Mapping[str, str]
    managed: Mapping[str, str]

    def value(self, name: str) -> str:
        """What a setting is, absent included."""
        return self.own.get(name.removeprefix(_PREFIX), ABSENT)

    def on(self, macos: Sequence[int]) -> list[str]:
        """Which of them would restart this Mac."""
        said = {key: self.managed.get(key, self.own.get(key, ON)) for key in keys(macos)}
        return [key for key, value in said.items() if value == ON]


def keys(macos: Sequence[int]) -> tuple[str, ...]:
    """Those that a version of macOS knows."""
    return KEYS if tuple(macos[:2]) >= (26, 1) else KEYS[:-1]


def parse(own: Iterable[str], managed: Iterable[str]) -> Updates:
    """The answers of `defaults read` about both domains; one that is not there has no keys. Raises
    ValueError when an answer is neither."""
    return Updates(_values(own), _values(managed))


def _values(lines: Iterable[str]) -> dict[str, str]:
    lines = list(lines)
    if not lines or not (lines[0].startswith("{") or "does not exist" in "\n".join(lines)):
        raise ValueError(f"defaults does not say what {DOMAIN} holds")
    rows = (_ROW.fullmatch(line) for line in lines)
    return {
        row[1]: OFF if row[2].lower() in ("0", "no", "false") else ON
        for row in rows
        if row and row[1] in KEYS
    }


def wanted(settings: Settings, updates: Updates, macos: Sequence[int]) -> dict[str, str]:
    """What is to hold; what is on by being absent is as wanted where it is to be on."""
    if settings.mac_automatic_updates is None:
        return {}
    want = ON if settings.mac_automatic_updates else OFF
    return {
        f"{_PREFIX}{key}": ABSENT if want == ON and key not in updates.own else want
        for key in keys(macos)
    }


def commands(name: str, value: str) -> list[list[str]]:
    """What sets it, as root."""
    key = name.removeprefix(_PREFIX)
    if value == ABSENT:
        return [[DEFAULTS, "delete", DOMAIN, key]]
    return [[DEFAULTS, "write", DOMAIN, key, "-bool", value]]


def root() -> Iterator[Command]:
    """What only root may do of it: also to put back what was."""
    for key in KEYS:
        for value in (ON, OFF, ABSENT):
            yield from map(tuple, commands(key, value))


def owns(name: str) -> bool:
    """Whether a setting is one of these."""
    return name.startswith(_PREFIX)


def problems(settings: Settings, updates: Updates) -> Iterator[Problem]:
    """A profile that says otherwise: what is written beside it counts for nothing."""
    if settings.mac_automatic_updates is None:
        return
    want = ON if settings.mac_automatic_updates else OFF
    if against := [key for key, value in updates.managed.items() if value != want]:
        yield Problem(
            "mac_automatic_updates",
            f"A configuration profile has {', '.join(against)} the other way, and it wins.",
            "have whoever manages this Mac change the profile (`profiles list` names it), or set "
            "mac_automatic_updates to None.",
            kind="mac",
        )


def restarts(updates: Updates, macos: Sequence[int]) -> str | None:
    """What a person is to know of a Mac that restarts by itself."""
    if not (on := updates.on(macos)):
        return None
    return f"install by themselves and may restart it ({', '.join(on)})"
