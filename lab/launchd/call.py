"""One launchctl command line under way: who calls, what it names, how it ends."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lab.launchd.jobs import GUI, SYSTEM, USER, Job, Launchd

# The text of `launchctl error N` (xpc error table, as read by the rundesk study on macOS 26.5).
ERRORS = {
    0: "no error",
    1: "Operation not permitted",
    3: "No such process",
    5: "Input/output error",
    36: "Operation now in progress",
    37: "Operation already in progress",
    107: "Malformed bundle",
    108: "Invalid path",
    109: "Invalid property list",
    110: "Invalid or missing service identifier",
    111: "Invalid or missing Program/ProgramArguments",
    112: "Could not find specified domain",
    113: "Could not find specified service",
    119: "Service is disabled",
    122: "Path had bad ownership/permissions",
    124: "Domain is tearing down",
    125: "Domain does not support specified action",
    133: "Multiple errors; see stderr",
    134: "Service cannot load in requested session",
    150: "Operation not permitted while System Integrity Protection is engaged",
    155: "Quarantined",
    159: "Sandbox restriction",
}
USAGE = 64  # EX_USAGE


@dataclass(frozen=True)
class Caller:
    """Who runs launchctl: through sudo, in which session, where."""

    root: bool = False
    session: str = "Background"
    cwd: str = "/"


class Reply(Exception):
    """The end of a command: exit code and what it printed.  Raised to leave from any depth."""

    def __init__(self, code: int = 0, out: str = "", err: str = "") -> None:
        super().__init__(err or out)
        self.code = code
        self.out = out
        self.err = err


class Call:
    """One command line under way, with the lookups the verbs share."""

    def __init__(self, launchd: Launchd, verb: str, args: list[str], caller: Caller) -> None:
        self.launchd = launchd
        self.verb = verb
        self.args = args
        self.caller = caller

    def usage(self, synopsis: str) -> Reply:
        return Reply(USAGE, err=f"Usage: launchctl {self.verb} {synopsis}\n")

    def path(self, argument: str) -> Path:
        inside = self.launchd.machine.inside(argument)
        return Path(os.path.join(self.caller.cwd, inside))

    @property
    def may_not(self) -> bool:
        """Whether the target is the system's, and the caller not root."""
        return self.args[-1:] != [] and not self.caller.root and self.of_system

    @property
    def of_system(self) -> bool:
        return any(argument.split("/")[0] == SYSTEM for argument in self.args)

    @property
    def own_domain(self) -> str:
        """Where the legacy verbs act: the caller's session (launchctl(1))."""
        if self.caller.root:
            return SYSTEM
        gui = self.caller.session == "Aqua" and GUI in self.launchd.domains
        return GUI if gui else USER

    def target(self, synopsis: str) -> tuple[str, str]:
        """The last argument as (domain, label)."""
        parts = self.args[-1].split("/", 2) if self.args else []
        if len(parts) == 2 and parts[0] == "system":
            return "system", parts[1]
        if len(parts) != 3:
            raise self.usage(synopsis)
        return "/".join(parts[:2]), parts[2]

    def job(self, domain: str, label: str) -> Job:
        job = self.launchd.domains.get(domain, {}).get(label)
        if job is None:
            raise Reply(113, err=missing_service(domain, label))
        return job


def missing_service(domain: str, label: str) -> str:
    return f'Could not find service "{label}" in domain for {domain_words(domain)}\n'


def domain_words(domain: str) -> str:
    """How launchctl names a domain in its messages (mattstack captures, Procursus launchctl)."""
    kind, _, number = domain.partition("/")
    return {"gui": f"user gui: {number}", "user": f"uid: {number}"}.get(kind, "system")
