"""`make pull`, on a Mac of the inventory: bring the repository up to date, and deploy to itself."""

import os
import plistlib
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyinfra.api import Host

from herd import plan
from herd.connections import remote
from herd.connections.here import HERE
from herd.core import scripts
from herd.core.mac import pull_job
from herd.core.mac.layout import SYSTEM_PATH, Layout
from herd.workstation.herd_directory import directory
from herd.workstation.toolkit import ROOT

_LONGEST_LOG = 1 << 20
"""Bytes of the log, of which the last half is kept then: launchd rotates nothing."""


def pull(inventory: str, name: str | None, every: int | None, more: Sequence[str]) -> bool:
    """Deploy to this Mac as what the inventory has it; does not return where it does so.

    `name` is that of the host, if it is not one of this Mac's own; with `every`, in minutes,
    launchd does the same at each login and that often, or with 0 no more. Raises RemoteError and
    SettingsError.
    """
    host = this_host(remote.hosts(inventory, [])[1], name)
    if every is not None:
        label = Layout(plan.settings_of([host])[host.name], str(Path.home())).label(pull_job.NAME)
        job = _Job(label, Path(inventory).resolve(), host.name, every)
        return job.repeat() if every else job.forget()
    _shorten(Path.home() / pull_job.LOG)
    _update(directory(inventory))
    words = ["-m", "herd", "deploy", f"--inventory={inventory}", f"--limit={host.name}", *more]
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *words], os.environ | {HERE: host.name})


def this_host(hosts: Sequence[Host], name: str | None) -> Host:
    """The one that is this Mac, by what it is called or else told to be."""
    wanted = {name} if name else _own_names()
    found = [host for host in hosts if _names(host) & wanted]
    if len(found) == 1:
        return found[0]
    there = ", ".join(host.name for host in hosts)
    what = f"{', '.join(sorted(wanted))} is no one host of the inventory"
    raise remote.RemoteError(f"{what}; say which this Mac is with --host; hosts: {there}")


def _names(host: Host) -> set[str]:
    told = (host.name, host.data.get("ssh_hostname"))
    return {str(each).removeprefix("@ssh/").lower() for each in told if each} | {host.name}


def _own_names() -> set[str]:
    """What this Mac is called, as it says itself and on its network."""
    own = {socket.gethostname()}
    for kind in ("LocalHostName", "HostName"):
        done = subprocess.run(["scutil", "--get", kind], capture_output=True, text=True)
        own |= {done.stdout.strip()} if done.returncode == 0 else set()
    short = {each.removesuffix(".local").lower() for each in own if each}
    return {each.lower() for each in own if each} | short | {f"{each}.local" for each in short}


def _update(repository: Path) -> None:
    """What it was told last holds where it cannot be told more, as without a network."""
    git = ["git", "-C", str(repository)]
    upstream = subprocess.run([*git, "rev-parse", "@{upstream}"], capture_output=True)
    if upstream.returncode:
        return
    done = subprocess.run([*git, "pull", "--ff-only", "--quiet"], capture_output=True, text=True)
    if done.returncode:
        why = done.stderr.strip().splitlines()[-1:] or ["no reason"]
        print(f"Going on with what is here, as git pull says: {why[0]}", file=sys.stderr)


def _shorten(log: Path) -> None:
    """In place: launchd has it open, and adds at its end (day-two facts: O_APPEND)."""
    if log.is_file() and log.stat().st_size > _LONGEST_LOG:
        with log.open("r+b") as file:
            file.seek(-_LONGEST_LOG // 2, os.SEEK_END)
            kept = file.read()
            file.truncate(0)
            file.seek(0)
            file.write(kept)


@dataclass(frozen=True)
class _Job:
    """What has launchd pull every so many minutes, in the session at the screen."""

    label: str
    inventory: Path
    host: str
    minutes: int

    def repeat(self) -> bool:
        """Load it, unless exactly this is loaded."""
        log = Path.home() / pull_job.LOG
        words = f"every {self.minutes} minutes, as {self.host}; {log} says what it did"
        content = plistlib.dumps(self._definition(str(log)))
        if self._file.is_file() and self._file.read_bytes() == content and self._is_loaded():
            print(f"This Mac pulls {words}.")
            return True
        if not self._unload():
            return False
        for folder in (log.parent, self._file.parent):
            folder.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_suffix(".new")
        draft.write_bytes(content)
        draft.replace(self._file)
        if not _script("job-load", _domain(), self.label, str(self._file)):
            return False
        print(f"This Mac pulls now, and {words}.")
        return True

    def forget(self) -> bool:
        """Have nothing of it."""
        if not self._unload():
            return False
        self._file.unlink(missing_ok=True)
        print("This Mac pulls no more by itself.")
        return True

    def _definition(self, log: str) -> dict[str, Any]:
        return pull_job.definition(
            self.label,
            sys.executable,
            inventory=str(self.inventory),
            host=self.host,
            minutes=self.minutes,
            environment={
                "PATH": SYSTEM_PATH,
                "PYTHONPATH": str(ROOT),
                # Not what lies in the working directory.
                "PYTHONSAFEPATH": "1",
            },
            directory=str(self.inventory.parent),
            log=log,
        )

    @property
    def _file(self) -> Path:
        return Path.home() / "Library/LaunchAgents" / f"{self.label}.plist"

    def _is_loaded(self) -> bool:
        shown = ["launchctl", "print", f"{_domain()}/{self.label}"]
        return subprocess.run(shown, capture_output=True).returncode == 0

    def _unload(self) -> bool:
        return not self._is_loaded() or _script("job-unload", f"{_domain()}/{self.label}", "60")


def _script(name: str, *words: str) -> bool:
    return subprocess.run(["sh", "-c", scripts.text(name), name, *words]).returncode == 0


def _domain() -> str:
    uid = subprocess.run(["id", "-u"], capture_output=True, text=True, check=True).stdout.strip()
    return f"gui/{uid}"
