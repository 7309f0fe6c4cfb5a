"""What shows on a Mac that serves badly, or soon will: clock, session, reports, words of logs."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from herd.core.mac import application_firewall


@dataclass(frozen=True)
class Symptoms:
    """`clock` is seconds since 1970; `filevault`, `autologin` and `firewall` are macOS's own words,
    "" where it told none.

    `updates` are those that wait, `installs` whether macOS does so by itself (which it does unless
    told not to). `shut_out` is what the proxy really runs, where the firewall is on and lets nobody
    reach it. `low_power` names the setting of pmset by which the Mac runs slowly, `smart` is the
    disk's own word ("Verified"), `stuck` whether the proxy found a model that gives no token.
    `readable` are paths of files that others may read and should not, `foreign` those that are not
    the user's; `code` has the SHA-256 of the files of the proxy's release, `orphans` are pids of
    llama-servers that no llama-swap has.
    `reports` are paths of the week's crash, jetsam and panic reports; `quarantined`
    those of property lists that launchd ignores from macOS 27 on. `log` has lines of llama-swap's
    log that say why a model does not come up, `slow` models with the seconds and the time of an
    answer that began late. `denied` are addresses of Macs that a gateway's HAProxy finds no route
    to, and other programs on it do.
    """

    clock: int | None = None
    filevault: str = ""
    autologin: str = ""
    firewall: str = ""
    shut_out: str = ""
    low_power: str = ""
    smart: str = ""
    stuck: bool = False
    readable: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    code: Mapping[str, str] = field(default_factory=dict)
    orphans: tuple[int, ...] = ()
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
        shut_out=_shut_out(said.get("firewall", []), said.get("app", []), one("program")),
        low_power=one("lowpower").removesuffix(" 1") if one("lowpower").endswith(" 1") else "",
        smart=one("smart"),
        stuck=one("stuck") == "yes",
        readable=every("readable"),
        foreign=every("foreign"),
        code={
            path: digest for digest, _, path in (t.partition("  ") for t in said.get("code", []))
        },
        orphans=tuple(int(pid) for pid in every("orphan") if re.fullmatch(r"\d{1,9}", pid)),
        installs=one("installs") != "0",
        updates=every("update"),
        reports=every("report"),
        quarantined=every("quarantined"),
        log=every("log"),
        denied=every("denied"),
        slow=tuple(filter(None, map(_slow, said.get("slow", [])))),
    )


def _shut_out(state: Sequence[str], apps: Sequence[str], program: str) -> str:
    try:
        firewall = application_firewall.parse(state, apps, program)
    except ValueError:
        return ""
    closed = firewall.state == 1 and firewall.value(program) != application_firewall.ALLOW
    return program if closed else ""


def _slow(text: str) -> tuple[str, float, str] | None:
    found = re.fullmatch(r"(\S+) (\d{1,9}(?:\.\d+)?) (\S+)", text)
    return (found[1], float(found[2]), found[3]) if found else None
