"""How a Mac is just now: since when it runs, what its memory is used for, whether heat slows it,
what it draws its power from."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from herd.core.text.units import MIB

PRESSURE = {1: "normal", 2: "warning", 4: "critical"}
"""Of kern.memorystatus_vm_pressure_level."""


@dataclass(frozen=True)
class Vitals:
    """Times are in seconds, sizes in bytes; None is what the Mac did not tell.

    `booted` is seconds ago, `ages` those of the stack's processes by pid. `wired` and `compressed`
    are what vm_stat counts as such. `pressure` is one of PRESSURE's keys, `gpu` a percentage.
    `throttled` is what macOS says of heat, where it says something. `source` is what it draws its
    power from, in its words ("AC Power", "Battery Power", "UPS Power"), `charge` a battery's or
    UPS's percentage. `celsius` is the hotter of processor and GPU, and `watts` what the whole Mac
    takes: of macmon (vladkens/macmon), where somebody installed that.
    """

    booted: int | None = None
    ages: Mapping[int, int] = field(default_factory=dict)
    wired: int | None = None
    compressed: int | None = None
    swap_used: int | None = None
    swap_total: int | None = None
    pressure: int | None = None
    gpu: int | None = None
    throttled: tuple[str, ...] = ()
    source: str = ""
    charge: int | None = None
    celsius: float | None = None
    watts: float | None = None

    @property
    def on_mains(self) -> bool | None:
        """Whether it draws from the mains; None where nobody told."""
        return self.source == "AC Power" if self.source else None

    @property
    def pressure_word(self) -> str:
        """As Activity Monitor's colours have it; "" where nobody told."""
        return PRESSURE.get(self.pressure or 0, "")


def parse(lines: Iterable[str]) -> Vitals:
    """The answer of scripts/look/vitals.sh."""
    pairs = [line.split("\t", 1) for line in lines if "\t" in line]
    values = dict(pairs)
    pages = _pages([text for key, text in pairs if key == "vm"])
    used, total = _swap(values.get("swap", ""))
    source, charge = _power([text for key, text in pairs if key == "batt"])
    celsius, watts = _measured(values.get("macmon", ""))
    return Vitals(
        booted=_booted(values.get("now", ""), values.get("boot", "")),
        ages=dict(filter(None, (_age(text) for key, text in pairs if key == "process"))),
        wired=pages.get("Pages wired down"),
        compressed=pages.get("Pages occupied by compressor"),
        swap_used=used,
        swap_total=total,
        pressure=_number(values.get("pressure", "")),
        gpu=_number(values.get("gpu", "")),
        throttled=tuple(_throttled([text for key, text in pairs if key == "therm"])),
        source=source,
        charge=charge,
        celsius=celsius,
        watts=watts,
    )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def _booted(now: str, boot: str) -> int | None:
    """Of `{ sec = 1764381600, usec = 123456 } Sat Nov 29 …`."""
    found, present = re.match(r"\{ sec = (\d{1,15}),", boot), _number(now)
    return max(0, present - int(found[1])) if found and present else None


def _pages(lines: Sequence[str]) -> dict[str, int]:
    """Bytes by vm_stat's names: there are more of them on newer Macs (vm_stat(1))."""
    size = next((int(m[1]) for line in lines if (m := re.search(r"page size of (\d+)", line))), 0)
    found = (re.fullmatch(r'"?([^":]+)"?:\s+(\d{1,15})\.', line.strip()) for line in lines)
    return {match[1]: int(match[2]) * size for match in found if match and size}


def _swap(text: str) -> tuple[int | None, int | None]:
    """Used and total, of `total = 2048.00M  used = 512.00M  free = 1536.00M  (encrypted)`."""
    found = {
        match[1]: int(float(match[2]) * MIB)
        for match in re.finditer(r"(total|used) = (\d{1,9}(?:\.\d+)?)M", text)
    }
    return found.get("used"), found.get("total")


def _age(text: str) -> tuple[int, int] | None:
    """A pid and the seconds of ps's etime, `[[dd-]hh:]mm:ss` (ps(1))."""
    found = re.fullmatch(r"(\d{1,9}) (?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)", text)
    if not found:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups()[1:])
    return int(found[1]), ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _power(lines: Iterable[str]) -> tuple[str, int | None]:
    """Of `pmset -g batt`: `Now drawing from 'AC Power'`, and a line for each battery or UPS,
    ` -InternalBattery-0 (id=1234)	95%; charging; …` (pmset.m); the emptiest counts."""
    text = "\n".join(lines)
    source = re.search(r"drawing from '([A-Za-z ]{1,20})'", text)
    charges = [int(each) for each in re.findall(r"^ -.*?\t(\d{1,3})%", text, re.MULTILINE)]
    return source[1] if source else "", min(charges, default=None)


def _measured(text: str) -> tuple[float | None, float | None]:
    """Of a line of `macmon pipe`: to it 0 is what it could not read."""
    try:
        said: Any = json.loads(text)
        degrees = [said["temp"][name] for name in ("cpu_temp_avg", "gpu_temp_avg")]
        celsius = max((float(each) for each in degrees if each), default=None)
        return celsius, float(said["sys_power"]) or None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, None


def _throttled(lines: Iterable[str]) -> Iterable[str]:
    """Without notes that there is nothing, `pmset -g therm` says levels and limits."""
    for line in lines:
        found = re.search(r"(Thermal Warning Level|Performance Warning Level)\s*=\s*(\d+)", line)
        if found and found[2] != "0":
            yield f"{found[1].lower()} {found[2]}"
        found = re.search(r"CPU_Speed_Limit\s*=\s*(\d+)", line)
        if found and found[1] != "100":
            yield f"the processor runs at {found[1]} %"
