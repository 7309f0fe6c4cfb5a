"""A job's property list: when launchd takes it, and what its keys mean on a simulated Mac."""

from __future__ import annotations

import os
import plistlib
from pathlib import Path
from typing import Any

from lab.mac import SYSTEM_DIRS, Machine

FIREWALL = "/usr/libexec/ApplicationFirewall"


class Refused(ValueError):
    """Why a property list cannot be loaded: the launchd error number and its text."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number
        self.text = text


def read_definition(path: Path, machine: Machine) -> dict[str, Any]:
    """A job's property list, or Refused, by the rules of launchctl(1) on ownership and mode."""
    try:
        status = path.stat()
        raw = path.read_bytes()
    except OSError:
        raise Refused(108, "Invalid path") from None
    if status.st_mode & 0o022 or status.st_uid != os.getuid():
        raise Refused(122, "Path had bad ownership/permissions")
    # From macOS 27 on (release note 166415497); at login and at the start it is passed over.
    if machine.macos_major >= 27 and machine.quarantine(path):
        raise Refused(155, "Quarantined")
    try:
        definition = plistlib.loads(raw)
    except Exception:  # plistlib lets expat's, struct's and its own errors through
        raise Refused(109, "Invalid property list") from None
    if not isinstance(definition, dict) or not isinstance(definition.get("Label"), str):
        raise Refused(110, "Invalid or missing service identifier")
    arguments = definition.get("ProgramArguments")
    if not definition.get("Program") and not (isinstance(arguments, list) and arguments):
        raise Refused(111, "Invalid or missing Program/ProgramArguments")
    return definition


def sessions(definition: dict[str, Any], daemon: bool = False) -> list[str]:
    """LimitLoadToSessionType, which daemons have none of; an agent without it is for Aqua,
    launchd.plist(5)."""
    if daemon:
        return ["System"]
    limit = definition.get("LimitLoadToSessionType", "Aqua")
    return [limit] if isinstance(limit, str) else list(limit)


def system_path(path: str, machine: Machine) -> str:
    """A PATH with macOS's own folders replaced by this Mac's."""
    system = {f"/{folder}" for folder in SYSTEM_DIRS} | {FIREWALL}
    parts = path.split(":")
    return ":".join(str(machine.root) + part if part in system else part for part in parts)
