"""What shows on a Mac that serves badly, or soon will: clock, session, reports, words of logs."""

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Symptoms:
    """`clock` is seconds since 1970; `filevault`, `autologin` and `firewall` are macOS's own words,
    "" where it told none.

    `updates` are those that wait, `installs` whether macOS does so by itself (which it does unless
    told not to). `reports` are paths of the week's crash, jetsam and panic reports; `quarantined`
    those of property lists that launchd ignores from macOS 27 on. `log` has lines of llama-swap's
    log that say why a model does not come up, `slow` models with the seconds and the time of an
    answer that began late. `denied` are addresses of Macs that a gateway's HAProxy finds no route
    to, and other programs on it do.
    """

    clock: int | None = None
    filevault: str = ""
    autologin: str = ""
    firewall: str = ""
    installs: bool = True
    updates: tuple[str, ...] = ()
    reports: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
    slow: tuple[tuple[str, float, str], ...] = ()
    denied: tuple[str, ...] = ()


def parse(lines: Iterable[str]) -> Symptoms:
    """The answer of scripts/look/symptoms.sh."""
    said: dict[str, list[str]] = {}
    for line in lines:
        kind, tab, text = line.partition("\t")
        if tab:
            said.setdefault(kind, []).append(text)

    def one(kind: str) -> str:
        return said.get(kind, [""])[0]

    def every(kind: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(said.get(kind, [])))

    return Symptoms(
        clock=int(one("clock")) if re.fullmatch(r"\d{1,15}", one("clock")) else None,
        filevault=one("filevault"),
        autologin=one("autologin"),
        firewall=one("firewall"),
        installs=one("installs") != "0",
        updates=every("update"),
        reports=every("report"),
        quarantined=every("quarantined"),
        log=every("log"),
        denied=every("denied"),
        slow=tuple(filter(None, map(_slow, said.get("slow", [])))),
    )


def _slow(text: str) -> tuple[str, float, str] | None:
    found = re.fullmatch(r"(\S+) (\d{1,9}(?:\.\d+)?) (\S+)", text)
    return (found[1], float(found[2]), found[3]) if found else None
