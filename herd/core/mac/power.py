"""When a Mac sleeps, what wakes it, and whether it starts after a power loss: what pmset says and
is told (pmset(1); the layout of its answers is that of Apple's pmset.m).

Settings are called as a person finds them: "AC Power: sleep"; values are text, as pmset has them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from herd.core.mac.root_command import Command, Pattern
from herd.core.settings.problems import Problem
from herd.core.settings.schema import Settings

PMSET = "/usr/bin/pmset"
AC, BATTERY, UPS = "AC Power", "Battery Power", "UPS Power"
_FLAGS = {AC: "-c", BATTERY: "-b", UPS: "-u"}
LID = "SleepDisabled"
"""One switch of the whole Mac, of which a shut lid is a part; its row is there once it was set."""

# Standby and hibernation mean nothing to a Mac that does not sleep. Its disks must not either; its
# display may, and Power Nap has it do other things than serving.
_AWAKE = {"sleep": "0", "disksleep": "0", "displaysleep": "10", "powernap": "0"}
_WAKE = "womp"
_SINCE_26 = "autorestartatconnect"  # pmset(1) has it from macOS 26, and not every model

# " Sleep On Power Button 1", " sleep                0 (sleep prevented by powerd)".
_ROW = re.compile(r"[ \t]+(\S.*?)\s+(-?\d+|/\S+)(?: \(.*\))?\s*")


@dataclass(frozen=True)
class Power:
    """`live` is what holds now, of what this model has at all; `sources` has what holds on each
    source of power ({"AC Power": {"sleep": "1"}}), also of what it has not."""

    live: Mapping[str, str]
    sources: Mapping[str, Mapping[str, str]]

    def lacks(self, key: str) -> bool:
        """Whether this model cannot do it. A laptop on its battery has no row of what wakes it on a
        cable; what starts it again none ever has."""
        if key in self.live:
            return False
        on_battery = BATTERY in self.sources and key in self.sources.get(AC, {})
        return not (key == _WAKE and on_battery)

    def value(self, name: str) -> str | None:
        """What a setting is; None for one that is not there."""
        if name == LID:
            return self.live.get(LID, "0")
        source, _, key = name.partition(": ")
        return self.sources.get(source, {}).get(key)


def parse(live: Iterable[str], custom: Iterable[str]) -> Power:
    """The answers of `pmset -g` and `pmset -g custom`. Raises ValueError when they are none."""
    sources: dict[str, dict[str, str]] = {}
    for line in custom:
        if (title := line.strip().removesuffix(":")) in _FLAGS:
            sources[title] = {}
        elif sources and (row := _ROW.fullmatch(line)):
            sources[list(sources)[-1]][row[1]] = row[2]
    rows = (_ROW.fullmatch(line) for line in live)
    found = Power({row[1]: row[2] for row in rows if row}, sources)
    if "sleep" not in found.live or AC not in sources or "sleep" not in sources[AC]:
        raise ValueError("pmset -g does not say when this Mac sleeps")
    return found


def wanted(settings: Settings, power: Power) -> dict[str, str]:
    """What is to hold, of what this Mac has."""
    want = dict(_everywhere(settings, power))
    on_cable = {_WAKE: settings.mac_wake_on_lan, "autorestart": _restart(settings)}
    if not power.lacks(_SINCE_26):
        on_cable[_SINCE_26] = _restart(settings)
    for key, value in on_cable.items():
        if value is not None and not power.lacks(key):
            want[f"{AC}: {key}"] = str(int(value))
    return want


def _restart(settings: Settings) -> bool | None:
    return settings.mac_restart_after_power_loss


def _everywhere(settings: Settings, power: Power) -> Iterator[tuple[str, str]]:
    if settings.mac_sleep is None:
        return
    for source, rows in power.sources.items():
        yield from ((f"{source}: {key}", value) for key, value in _AWAKE.items() if key in rows)
    yield LID, str(int(settings.mac_sleep == "never-lid-shut"))


def commands(name: str, value: str) -> list[list[str]]:
    """What sets it, as root. There is no way back to "was never set" of SleepDisabled but 0."""
    if name == LID:
        return [[PMSET, "-a", "disablesleep", value]]
    source, _, key = name.partition(": ")
    return [[PMSET, _FLAGS[source], key, value]]


def root(settings: Settings) -> Iterator[Command]:
    """What only root may do of it: also to put back what was, whatever that is."""
    keys = [*(_AWAKE if settings.mac_sleep else ())]
    keys += [_WAKE] if settings.mac_wake_on_lan is not None else []
    keys += ["autorestart", _SINCE_26] if _restart(settings) is not None else []
    yield (PMSET, Pattern(f"-[bcu] ({'|'.join(keys)}) [0-9]+"))
    if settings.mac_sleep:
        yield from ((PMSET, "-a", "disablesleep", value) for value in "01")


def owns(name: str) -> bool:
    """Whether a setting is one of these."""
    return name == LID or name.partition(": ")[0] in _FLAGS


def problems(settings: Settings, power: Power) -> Iterator[Problem]:
    """What this model cannot do."""
    asked = {
        "autorestart": ("mac_restart_after_power_loss", "start by itself after a power loss"),
        _WAKE: ("mac_wake_on_lan", "be woken over the network"),
    }
    for key, (setting, what) in asked.items():
        if getattr(settings, setting) and power.lacks(key):
            yield Problem(
                setting,
                f"This model cannot {what}: `pmset -g` has no row {key}.",
                f"set {setting} to None for this host; a UPS bridges what a restart would mend.",
                kind="mac",
            )


def slow(power: Power) -> bool:
    """Whether Low Power Mode is on, by either of its names."""
    return "1" in (power.live.get("powermode"), power.live.get("lowpowermode"))
