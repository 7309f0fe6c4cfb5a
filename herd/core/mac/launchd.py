"""What launchd has loaded, read from `launchctl print`, and what it should have."""

import hashlib
import json
import plistlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

# A job carries the digest of its whole definition in its environment: launchd shows the
# environment it has loaded, but not every key (KeepAlive's form, Umask, …).
DIGEST = "HERD_DEFINITION"

METAL = re.compile(r"\s*(?:MTL|Metal)\d*: ")
"""Metal's among the devices of `llama-server --list-devices`: "  MTL0: Apple M4 Max (…)"."""


@dataclass(frozen=True)
class Job:
    """One loaded job as launchd sees it: the cached definition, whatever the file says now.

    `state` is launchd's word ("running", "not running", "spawn scheduled", …); `pid` None when it
    has no process; `last_exit` such as "(never exited)", "1", "78: EX_CONFIG", "Terminated: 15";
    `reason` is the kernel's, as "OS_REASON_JETSAM", where it had one.
    """

    path: str | None
    state: str
    pid: int | None
    runs: int
    last_exit: str | None
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""

    def runs_definition(self, definition: Mapping[str, Any], path: str) -> bool:
        """Whether this is exactly the wanted definition, bootstrapped from the wanted file."""
        wanted = definition["EnvironmentVariables"]
        return (
            self.path == path
            and self.arguments == tuple(definition["ProgramArguments"])
            and all(self.environment.get(name) == value for name, value in wanted.items())
        )


def parse_print(lines: Iterable[str]) -> Job | None:
    """The job in the output of `launchctl print DOMAIN/LABEL`; None when it is not loaded.

    Only lines with one leading tab are the job's own: nested blocks repeat their keys
    (launchctl(1) calls the output "NOT API", so as little as possible is read).
    """
    values: dict[str, str] = {}
    arguments: list[str] = []
    environment: dict[str, str] = {}
    block = None
    for line in lines:
        depth = len(line) - len(line.lstrip("\t"))
        text = line[depth:]
        if depth == 1 and text.endswith(" = {"):
            block = text.removesuffix(" = {")
        elif depth == 1 and text == "}":
            block = None
        elif depth == 1 and " = " in text:
            key, _, value = text.partition(" = ")
            values.setdefault(key, value)
        elif line.startswith("\t\t") and block == "arguments":
            arguments.append(line[2:])
        elif line.startswith("\t\t") and block == "environment":
            key, _, value = line[2:].partition(" => ")
            environment[key] = value
    if "state" not in values:
        return None
    pid, runs = values.get("pid", ""), values.get("runs", "")
    return Job(
        path=values.get("path"),
        state=values["state"],
        pid=int(pid) if pid.isdigit() else None,
        runs=int(runs) if runs.isdigit() else 0,
        last_exit=values.get("last terminating signal") or values.get("last exit code"),
        arguments=tuple(arguments),
        environment=environment,
        reason=values.get("last exit reason", ""),
    )


def with_digest(definition: Mapping[str, Any], depends_on: Mapping[str, str]) -> dict[str, Any]:
    """The definition with a digest of itself and of what else must restart it when it changes."""
    digest = digest_of(definition, depends_on)
    environment = {**definition["EnvironmentVariables"], DIGEST: digest}
    return {**definition, "EnvironmentVariables": environment}


def digest_of(what: Any, depends_on: Mapping[str, str]) -> str:
    """Sixteen digits by which a change in either is seen."""
    text = json.dumps([what, depends_on], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def compact(definition: Mapping[str, Any]) -> str:
    """A property list in one line, as it stands in a command line of root's."""
    lines = plistlib.dumps(dict(definition), sort_keys=False).decode().splitlines()
    return "".join(line.strip() for line in lines if not line.startswith(("<?xml", "<!DOCTYPE")))


@dataclass(frozen=True)
class Started:
    """How a daemon was started last: the digest of what it ran, and what llama-server said of
    devices then; whether its Mac is virtual, which has no GPU of its own. `quarantined`: its
    property list has com.apple.quarantine, and launchd of macOS 27 loads none that has."""

    digest: str = ""
    devices: tuple[str, ...] = ()
    virtual: bool = False
    quarantined: bool = False

    @property
    def without_metal(self) -> str | None:
        """What it said instead of a Metal device: it would serve on the CPU, and say nothing."""
        if self.virtual or not self.devices or any(METAL.match(line) for line in self.devices):
            return None
        return "; ".join(line.strip() for line in self.devices[-4:])
