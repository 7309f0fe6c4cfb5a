"""pmset: when a Mac sleeps and starts. Layout, texts and exit codes of Apple's PowerManagement
(pmset.m, 1846), which often says that it did what it did not do."""

from __future__ import annotations

import re

from lab.commands.base import as_root, fail
from lab.mac import Machine

FLAGS = {"-c": ["AC Power"], "-b": ["Battery Power"], "-u": ["UPS Power"], "-a": []}
KEYS = [
    *("displaysleep", "disksleep", "sleep", "womp", "ring", "acwake", "autorestart", "lidwake"),
    *("halfdim", "lessbright", "standby", "standbydelay", "powernap", "ttyskeepawake"),
    *("hibernatemode", "hibernatefile", "autopoweroff", "tcpkeepalive", "networkoversleep"),
    *("lowpowermode", "powermode"),
]
SINCE_26 = "autorestartatconnect"  # pmset(1) of Xcode 26.5, not of 16.4
USAGE = "Usage: pmset <options>"


def pmset(mac: Machine, args: list[str]) -> int:
    """pmset(1)."""
    if args[:1] == ["-g"]:
        return _get(mac, args[1:] or ["live"])
    keys, values = args[1::2], args[2::2]
    known = {*KEYS, "disablesleep", *([SINCE_26] if mac.macos_major >= 26 else [])}
    whole = len(keys) == len(values) > 0 and all(re.fullmatch(r"-?\d+", v) for v in values)
    if args[:1] and args[0] in FLAGS and whole and set(keys) <= known:
        return _set(mac, args[0], dict(zip(keys, values, strict=True)))
    return fail(USAGE)


def sources(mac: Machine) -> dict[str, dict[str, str]]:
    """What holds on each source of power; only a laptop has a battery."""
    battery = mac.facts["battery"]
    return {"AC Power": mac.facts["power"]} | ({"Battery Power": battery} if battery else {})


def _get(mac: Machine, what: list[str]) -> int:
    if what == ["live"]:
        print("System-wide power settings:")
        if mac.facts["sleep_disabled"] is not None:  # only once it was set
            print(f" SleepDisabled\t\t{mac.facts['sleep_disabled']}")
        print("Currently in use:")
        rows = {k: v for k, v in mac.facts["power"].items() if k not in mac.facts["power_lacks"]}
        if rows.get("sleep") == "0":
            rows["sleep"] = "0 (sleep prevented by powerd)"
        _rows(rows)
    elif what == ["custom"]:  # not pruned of what the model lacks
        for source, rows in reversed(sources(mac).items()):
            print(f"{source}:")
            _rows(dict.fromkeys(mac.facts["power_lacks"], "0") | rows)
    elif what == ["batt"]:
        print(f"Now drawing from '{mac.facts['power_source']}'")
        if mac.facts["battery"]:
            state = "charged" if mac.facts["power_source"] == "AC Power" else "discharging"
            print(f" -InternalBattery-0 (id=4653155)\t80%; {state}; 4:21 remaining present: true")
    elif what == ["therm"]:
        for kind in ("thermal warning level", "performance warning level", "CPU power status"):
            print(f"Note: No {kind} has been recorded")
    elif what == ["cap"]:
        print("Capabilities for AC Power:")
        has = {*mac.facts["power"]} - {*mac.facts["power_lacks"]}
        print("\n".join(f" {key}" for key in KEYS if key in has))
    else:
        return fail(USAGE)
    return 0


def _rows(rows: dict[str, str]) -> None:
    for key, value in sorted(rows.items()):
        print(f" {key:<20} {value}")


def _set(mac: Machine, flag: str, wanted: dict[str, str]) -> int:
    if not as_root():
        print("'pmset' must be run as root...")
        return 0 if [*wanted] == ["disablesleep"] else 1
    if "pmset" in mac.facts["lies"]:
        return 0
    if "disablesleep" in wanted:
        mac.set(sleep_disabled=int(wanted.pop("disablesleep") != "0"))
    # Without a word, and 0: what the model cannot do.
    wanted = {key: value for key, value in wanted.items() if key not in mac.facts["power_lacks"]}
    there = sources(mac)
    for source in FLAGS[flag] or there:
        if source in there:
            fact = {"AC Power": "power", "Battery Power": "battery"}[source]
            mac.set(**{fact: mac.facts[fact] | wanted})
    return 0
