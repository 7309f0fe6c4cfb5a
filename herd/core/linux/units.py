"""A stack's jobs on Linux: services of the user's own systemd, and what that says of them.

The same plain data as a property list of launchd's (herd/core/mac/job_definitions.py), in the words
of systemd.service(5) and systemd.exec(5).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from herd.core.mac.launchd import DIGEST, Job

AGAIN = 10
"""Seconds from the end of a service to its next start, as launchd has them."""


def unit(definition: Mapping[str, Any]) -> str:
    """The text of a service, by the keys of launchd.plist(5) that our jobs have."""
    always = definition["KeepAlive"]
    command = " ".join(_word(word).replace("$", "$$") for word in definition["ProgramArguments"])
    environment = definition["EnvironmentVariables"]
    lines = [
        "[Unit]",
        f"Description={_line(definition['Label'])}, of Llama Herd",
        # It is tried again for as long as it takes.
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        # Its start has failed if there is no such program.
        "Type=exec",
        f"ExecStart={command}",
        *(f"Environment={_word(f'{name}={value}')}" for name, value in environment.items()),
        f"WorkingDirectory={_line(definition['WorkingDirectory'])}",
        f"StandardOutput=append:{_line(definition['StandardOutPath'])}",
        f"StandardError=append:{_line(definition['StandardErrorPath'])}",
        f"UMask={definition['Umask']:04o}",
        f"LimitNOFILE={definition['SoftResourceLimits']['NumberOfFiles']}:infinity",
        # HAProxy's master tells its processes itself; what outlives it is killed.
        "KillMode=mixed",
        f"TimeoutStopSec={definition['ExitTimeOut']}",
        *(["Restart=always", f"RestartSec={AGAIN}"] if always else []),
    ]
    if definition["RunAtLoad"]:
        lines += ["", "[Install]", "WantedBy=default.target"]
    return "\n".join([*lines, ""])


def _line(value: str) -> str:
    """One that is all of its line: only a percent sign means something there (systemd.unit(5))."""
    if re.search(r"\\$|^\s|\s$", value):
        raise ValueError(f"a unit can hold no such line: {value!r}")
    return _plain(value)


def _word(value: str) -> str:
    """One of several, in quotes (systemd.syntax(7))."""
    return '"' + _plain(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _plain(value: str) -> str:
    if re.search(r"[\x00-\x1f\x7f]", value):
        raise ValueError(f"a unit can hold no such line: {value!r}")
    return value.replace("%", "%%")


@dataclass(frozen=True)
class Service(Job):
    """A service as systemd has it. `environment` has the digest of its definition only, by which
    all else is known; `enabled`: it starts by itself; `stale`: its file was written since."""

    enabled: bool = False
    stale: bool = False

    def runs_definition(self, definition: Mapping[str, Any], path: str) -> bool:
        """Whether this is exactly the wanted definition, read from the wanted file."""
        wanted = definition["EnvironmentVariables"][DIGEST]
        right = self.path == path and self.environment.get(DIGEST) == wanted
        return right and not self.stale and self.enabled == definition["RunAtLoad"]


def parse_show(lines: Iterable[str]) -> Service | None:
    """The answer of scripts/look/unit.sh, which is that of `systemctl show`, and the environment of
    the process as far as it is ours; None where there is no such unit."""
    pairs = [line.partition("=")[::2] for line in lines]
    values = dict(pairs)
    if values.get("LoadState") != "loaded":
        return None
    pid = int(values.get("MainPID") or 0)
    digests = re.findall(rf"\b{DIGEST}=([0-9a-f]+)", values.get("Environment", ""))
    # Of one that runs both must be right: it is started again by what systemd has read last.
    digests += [text for key, text in pairs if key == f"process {DIGEST}"]
    known = set(digests) if len(digests) == (2 if pid else 1) else set()
    return Service(
        path=values.get("FragmentPath"),
        state=values.get("SubState", "unknown"),
        pid=pid or None,
        runs=int(values.get("NRestarts") or 0) + (1 if pid or values.get("ExecMainCode") else 0),
        last_exit=_last_exit(values.get("ExecMainCode", ""), values.get("ExecMainStatus", "")),
        arguments=(),
        environment={DIGEST: known.pop()} if len(known) == 1 else {},
        enabled=values.get("UnitFileState") == "enabled",
        stale=values.get("NeedDaemonReload") == "yes",
    )


def _last_exit(code: str, status: str) -> str | None:
    """In launchd's words: `code` is one of waitid(2)'s, 1 for an exit."""
    if code in ("", "0"):
        return "(never exited)"
    if code == "1":
        return status
    return {"15": "Terminated: 15", "9": "Killed: 9"}.get(status, f"signal {status}")
