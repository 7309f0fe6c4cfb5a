"""What HAProxy says of the Macs and of who waits: its statistics as CSV (management.txt, 9.1)."""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from herd.core.gateway.fleet import PREFIX


@dataclass(frozen=True)
class Server:
    """A Mac as HAProxy has it. `state` is HAProxy's word ("UP", "DRAIN (agent)", "DOWN 1/2"), where
    "(agent)" is what the Mac says of itself; `said` is why, where somebody said that; `taken` of
    its `slots` are at work."""

    state: str
    said: str = ""
    taken: int = 0
    slots: int = 0

    @property
    def words(self) -> str:
        """For a person."""
        word = self.state.removesuffix(" (agent)").lower()
        why = self.said or ("as it says itself" if "agent" in self.state else "")
        reason = f" ({why})" if why and not self.state.startswith("UP") else ""
        return f"{word}{reason}, {self.taken} of {self.slots} slots taken"


@dataclass(frozen=True)
class Servers:
    """Macs by `Mac.server`, and requests that wait by `Pool.backend`."""

    macs: Mapping[str, Server] = field(default_factory=dict)
    waiting: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_known(self) -> bool:
        """Whether HAProxy said anything."""
        return bool(self.macs)


def parse(lines: Iterable[str]) -> Servers:
    """Of the CSV's lines; nothing, where there are none or they are something else."""
    text = [line for line in lines if line]
    if not text or not text[0].startswith("# pxname,"):
        return Servers()
    text[0] = text[0].removeprefix("# ")
    rows = list(csv.DictReader(text))
    used: dict[str, list[int]] = {}
    waiting: dict[str, int] = {}
    for row in rows:
        proxy, name = row["pxname"] or "", row["svname"] or ""
        if not proxy.startswith(PREFIX) or name == "FRONTEND":
            continue
        if count := _number(row["qcur"]):  # of a backend, those without a server yet
            waiting[proxy] = waiting.get(proxy, 0) + count
        if name == "BACKEND":
            continue
        taken, slots = used.get(name, [0, 0])
        used[name] = [taken + _number(row["scur"]), slots + _number(row["slim"])]
    macs = {
        row["svname"]: Server(row["status"], _said(row), *used.get(row["svname"], ()))
        for row in rows
        if row["pxname"] == "macs" and row["svname"] != "BACKEND"
    }
    return Servers(macs, waiting)


def _said(row: Mapping[str, str]) -> str:
    """The reason of the Mac's agent, which HAProxy has in brackets behind its word ("via agent :
    down (a model gives no token)"); else the last word of the check."""
    if "agent" in row["status"]:
        found = re.fullmatch(r"via agent : [a-z]+ \((.*)\)", row.get("last_agt") or "")
        return found[1] if found else ""
    return (row.get("last_chk") or "").strip()


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() else 0
