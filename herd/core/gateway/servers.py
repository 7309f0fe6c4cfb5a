"""What HAProxy says of the Macs and of who waits: its statistics as CSV (management.txt, 9.1)."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from herd.core.gateway.fleet import PREFIX


@dataclass(frozen=True)
class Server:
    """A Mac as HAProxy has it. `state` is HAProxy's word ("UP", "DRAIN", "MAINT", "DOWN 1/2"),
    `said` what the Mac's own agent or the check said last; `taken` of its `slots` are at work."""

    state: str
    said: str = ""
    taken: int = 0
    slots: int = 0

    @property
    def words(self) -> str:
        """For a person."""
        why = f" ({self.said})" if self.said and not self.state.startswith("UP") else ""
        return f"{self.state.lower()}{why}, {self.taken} of {self.slots} slots taken"


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
        if name == "BACKEND":
            if count := _number(row["qcur"]):
                waiting[proxy] = count
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
    """The last word of the Mac's agent where that has taken it out, else of the check."""
    agent = (row.get("last_agt") or "").removeprefix("via agent : ").strip()
    by_agent = "agent" in row["status"] or row["status"].startswith(("DRAIN", "MAINT"))
    return (agent if by_agent else "") or (row.get("last_chk") or "").strip()


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() else 0
