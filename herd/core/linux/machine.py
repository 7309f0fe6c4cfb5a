"""What a Linux machine says of itself, and why it cannot be a gateway."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from herd.core.mac.mac import Identity
from herd.core.settings.problems import Problem

PACKAGES = {"haproxy": "haproxy", "venv": "python3-venv", "curl": "curl"}
"""What a gateway runs of Debian's, by what scripts/look/linux.sh calls it."""
HAPROXY = (2, 8)
"""The oldest HAProxy that knows all that our configuration says."""
PYTHON = (3, 11)
"""The oldest Python that the proxy runs on (pyproject.toml)."""


@dataclass(frozen=True)
class Machine:
    """`system` is its own name ("Debian GNU/Linux 13 (trixie)"); `there` has the packages of
    `PACKAGES` that are installed, by the same names; `haproxy` is the version that is, or that apt
    would install, () where neither is known. `lingers`: the user's services outlive his login, and
    start with the machine."""

    system: str = ""
    apt: bool = False
    haproxy: tuple[int, ...] = ()
    python: tuple[int, ...] = ()
    there: frozenset[str] = frozenset()
    lingers: bool = False

    @property
    def missing(self) -> list[str]:
        """Debian's names of what is to be installed."""
        return [package for name, package in PACKAGES.items() if name not in self.there]


def parse(lines: Iterable[str]) -> Machine:
    """The answer of scripts/look/linux.sh."""
    values = dict(line.split("\t", 1) for line in lines if "\t" in line)
    return Machine(
        system=values.get("system", ""),
        apt="apt" in values,
        haproxy=_version(values.get("haproxy") or values.get("candidate", "")),
        python=_version(values.get("python", "")),
        there=frozenset(name for name in PACKAGES if name in values),
        lingers=values.get("lingers") == "yes",
    )


def _version(text: str) -> tuple[int, ...]:
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else ()


def problems(
    who: Identity, machine: Machine, *, serves: bool, foreign: Mapping[str, str]
) -> Iterator[Problem]:
    """Everything that keeps it from being a gateway; `foreign` is who holds which of its ports."""
    if serves:
        yield Problem(
            "machine",
            f"It is {who.system} on {who.arch}, and is to serve models.",
            "use an Apple Silicon Mac (a terminal under Rosetta says x86_64, too); a Linux machine "
            "may be a gateway: name it in the group gateways only.",
        )
        return
    missing = machine.missing
    if missing and not machine.apt:
        yield Problem(
            "packages",
            f"It lacks {', '.join(missing)}, and has no apt ({machine.system or 'unknown'}).",
            "install them by its own means, or use Debian or Ubuntu.",
        )
    elif missing and not who.sudo and who.uid != 0:
        yield Problem(
            "packages",
            f"It lacks {', '.join(missing)}, and sudo asks {who.user} for a password.",
            f"run `sudo apt-get install --yes {' '.join(missing)}` there once, then deploy again.",
        )
    if machine.haproxy and machine.haproxy < HAPROXY:
        yield Problem(
            "HAProxy",
            f"That of {machine.system} is {'.'.join(map(str, machine.haproxy))}, and a gateway "
            f"needs {'.'.join(map(str, HAPROXY))}.",
            "use Debian 13 or Ubuntu 24.04, or later, or haproxy.debian.net's packages.",
        )
    if machine.python and machine.python < PYTHON:
        yield Problem(
            "Python",
            f"That of {machine.system} is {'.'.join(map(str, machine.python))}, and the proxy "
            f"needs {'.'.join(map(str, PYTHON))}.",
            "use Debian 13 or Ubuntu 24.04, or later.",
        )
    if not who.console:
        yield Problem(
            "systemd",
            f"No systemd of {who.user}'s own answers there (`systemctl --user`).",
            f"run `sudo loginctl enable-linger {who.user}` there, and log in again.",
        )
    if not who.writable:
        yield Problem(
            "stack_root",
            f"{who.user} may not write there.",
            "choose a directory of the SSH user.",
        )
    for folder in who.folders:
        if not folder.is_safe(who.uid):
            yield Problem(
                f"directory {folder.path}",
                f"Others may exchange what is in it: it belongs to {folder.owner} (mode "
                f"{folder.mode}).",
                "have it writable for its owner only, or choose another stack_root.",
            )
    for port, holder in foreign.items():
        fix = "stop that, or choose another port."
        yield Problem(f"port {port}", f"It is held by {holder}.", fix)
