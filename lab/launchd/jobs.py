"""launchd: jobs with their life cycle, the domains user/501 and gui/501, login and logout.

Lives in the daemon's event loop.  Every change of state is synchronous; waiting is a timer or
a thread blocked in wait(2), so a job can never be seen half-way between two states.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import plistlib
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.launchd.definition import read_definition, sessions, system_path
from lab.mac import UID, Machine
from lab.mac import USER as ACCOUNT

GUI = f"gui/{UID}"
USER = f"user/{UID}"
SYSTEM = "system"
SESSIONS = {GUI: "Aqua", USER: "Background", SYSTEM: "System"}
EX_CONFIG = 78  # sysexits.h; what xpcproxy exits with when it cannot start the program

# "signals typically associated with a crash", launchd.plist(5) KeepAlive/Crashed
CRASHES = {
    signal.SIGILL,
    signal.SIGTRAP,
    signal.SIGABRT,
    signal.SIGFPE,
    signal.SIGBUS,
    signal.SIGSEGV,
    signal.SIGSYS,
}


class Job:
    """One bootstrapped service.  Its definition is what was read then, not the file of today."""

    def __init__(
        self, machine: Machine, domain: str, asid: int, path: Path, definition: dict[str, Any]
    ) -> None:
        self.machine = machine
        self.domain = domain
        self.asid = asid
        self.path = path
        self.definition = definition
        self.label: str = definition["Label"]
        self.state = "not running"
        self.pid: int | None = None
        self.runs = 0
        self.last_exit: int | None = None
        self.last_signal: int | None = None
        self.gone = asyncio.Event()  # the label is free again
        self.spawned = asyncio.Event()  # there is an instance
        self.ended = asyncio.Event()  # there is none, or there is a new one
        self._spawned_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._removing: Callable[[], None] | None = None
        self._wanted = False  # kickstarted while the old instance is still dying
        self._loop = asyncio.get_running_loop()

    # -- what the definition says

    @property
    def arguments(self) -> list[str]:
        program = self.definition.get("Program")
        return list(self.definition.get("ProgramArguments") or [program])

    @property
    def program(self) -> str:
        return str(self.definition.get("Program") or self.arguments[0])

    @property
    def user(self) -> str:
        """UserName counts in the system domain only, launchd.plist(5)."""
        given = str(self.definition.get("UserName", "root"))
        return given if self.domain == SYSTEM else ACCOUNT

    @property
    def throttle(self) -> float:
        """launchd.plist(5): default 10 seconds; 0 is ignored (rundesk study, macOS 26.5)."""
        return float(self.definition.get("ThrottleInterval") or 10)

    @property
    def exit_timeout(self) -> float:
        """`exit timeout = 5` is what print shows on macOS 14-26; 0 means for ever."""
        return float(self.definition.get("ExitTimeOut", 5))

    @property
    def runs_at_load(self) -> bool:
        keep = self.definition.get("KeepAlive")
        implied = keep is True or (
            isinstance(keep, dict) and bool({"SuccessfulExit", "Crashed"} & keep.keys())
        )
        return implied or bool(self.definition.get("RunAtLoad"))

    def _stays_alive(self) -> bool:
        """KeepAlive after an exit; the conditions of its dictionary are ORed, launchd.plist(5)."""
        keep = self.definition.get("KeepAlive", False)
        if not isinstance(keep, dict):
            return bool(keep)
        clean = self.last_exit == 0
        crashed = self.last_signal is not None and self.last_signal in CRASHES
        conditions = [
            "SuccessfulExit" in keep and bool(keep["SuccessfulExit"]) == clean,
            "Crashed" in keep and bool(keep["Crashed"]) == crashed,
            *(os.path.exists(p) == bool(on) for p, on in keep.get("PathState", {}).items()),
        ]
        return any(conditions)

    # -- life

    def demand(self) -> None:
        """Run now, or when throttling allows: counted from the last spawn, launchd.plist(5)."""
        if self.pid is not None or self._removing:
            return
        self._cancel_timer()
        wait = 0.0
        if self._spawned_at is not None:
            wait = self._spawned_at + self.throttle - time.monotonic()
        if wait > 0:
            self.state = "spawn scheduled"
            self._timer = self._loop.call_later(wait, self._spawn)
        else:
            self._spawn()

    def signal(self, number: int) -> None:
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def restart(self) -> None:
        """`kickstart -k`: SIGKILL at once (LastExitStatus 9 in kirodotdev/KiroCrew#1562)."""
        if self.pid is None:
            self.demand()
            return
        self._wanted = True
        self.ended.clear()
        self.state = "SIGKILLed"
        self.signal(signal.SIGKILL)

    def remove(self, unregister: Callable[[], None]) -> None:
        """Begin to leave: SIGTERM now, SIGKILL after ExitTimeOut, the label free only then."""
        if self._removing:
            return
        self._cancel_timer()
        self._removing = unregister
        if self.pid is None:
            self._left()
            return
        self.state = "SIGTERMed"
        self.signal(signal.SIGTERM)
        if self.exit_timeout:
            self._timer = self._loop.call_later(self.exit_timeout, self._lose_patience)

    def _lose_patience(self) -> None:
        self.state = "SIGKILLed"
        self.signal(signal.SIGKILL)

    def _left(self) -> None:
        self._cancel_timer()
        if self._removing:
            self._removing()
        self.gone.set()

    def _cancel_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _spawn(self) -> None:
        self._timer = None
        self._wanted = False
        self._spawned_at = time.monotonic()
        self.runs += 1
        self.spawned.set()
        try:
            process = self._execute()
        except OSError:
            # The program, its folder or a log cannot be opened: xpcproxy exits 78 in its place.
            self._ended(EX_CONFIG)
            return
        self.pid = process.pid
        self.state = "running"

        def wait() -> None:
            status = process.wait()
            with contextlib.suppress(RuntimeError):  # the loop is closed: the daemon is ending
                self._loop.call_soon_threadsafe(self._exited, status)

        threading.Thread(target=wait, daemon=True).start()

    def _execute(self) -> subprocess.Popen[bytes]:
        environment = self.machine.environment(SESSIONS[self.domain])
        if self.domain == SYSTEM:
            # Of the user's, launchd gives a daemon what its property list says; whether HOME comes
            # by itself is said both ways, so here it does not.
            for name in ("HOME", "USER", "LOGNAME", "SHELL", "TMPDIR"):
                del environment[name]
            if self.user == "root":
                environment["LAB_AS_ROOT"] = "1"
            elif self.user != ACCOUNT:
                raise OSError(f"no such user: {self.user}")
        environment["XPC_SERVICE_NAME"] = self.label
        environment |= {k: str(v) for k, v in self.environment.items()}
        environment["PATH"] = system_path(environment["PATH"], self.machine)
        program = self.machine.own(self.program)
        if not program.startswith("/"):
            found = shutil.which(program, path=self.machine.path)
            program = found or program
        with contextlib.ExitStack() as stack:
            streams = [
                stack.enter_context(self._log(key))
                for key in ("StandardOutPath", "StandardErrorPath")
            ]
            return subprocess.Popen(
                [self.machine.inside(word) for word in self.arguments],
                executable=program,
                cwd=self.definition.get("WorkingDirectory", "/"),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=streams[0],
                stderr=streams[1],
                process_group=0,
                umask=0o022,
            )

    @property
    def environment(self) -> dict[str, str]:
        return dict(self.definition.get("EnvironmentVariables", {}))

    def _log(self, key: str) -> Any:
        path = Path(self.definition.get(key, os.devnull))
        if not path.parent.exists():
            path.parent.mkdir()  # xpcproxy makes the folder itself, one level (rundesk study)
        return open(path, "ab")

    def _exited(self, status: int) -> None:
        pid, self.pid = self.pid, None
        if pid is not None and not self.definition.get("AbandonProcessGroup"):
            # launchd.plist(5) AbandonProcessGroup: what is left of the process group dies with
            # the job; the published source of launchd-842 does it with SIGTERM.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGTERM)
        self._ended(status)

    def _ended(self, status: int) -> None:
        self.last_exit = status if status >= 0 else None
        self.last_signal = -status if status < 0 else None
        self.state = "not running"
        self.spawned.clear()
        if self._removing:
            self._left()
        elif self._wanted or self._stays_alive():
            self.demand()
        self.ended.set()


class Launchd:
    """The domains of one Mac.  system and user/501 are always there; gui/501 between login and
    logout."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.domains: dict[str, dict[str, Job]] = {SYSTEM: {}, USER: {}}
        self.tearing_down = False
        self.asid = 100000

    # -- the persistent store of `enable` and `disable`, shared by gui/501 and user/501

    def _store(self, domain: str) -> Path:
        name = "disabled.plist" if domain == SYSTEM else f"disabled.{UID}.plist"
        return self.machine.root / "private/var/db/com.apple.xpc.launchd" / name

    def overrides(self, domain: str = GUI) -> dict[str, bool]:
        """label: disabled?"""
        store = self._store(domain)
        if not store.exists():
            return {}
        stored: dict[str, bool] = plistlib.loads(store.read_bytes())
        return stored

    def override(self, label: str, *, disabled: bool, domain: str = GUI) -> None:
        store = self._store(domain)
        store.parent.mkdir(parents=True, exist_ok=True)
        store.write_bytes(plistlib.dumps(self.overrides(domain) | {label: disabled}))

    # -- jobs

    def add(self, domain: str, path: Path, definition: dict[str, Any]) -> Job:
        job = Job(self.machine, domain, self.asid, path, definition)
        self.domains[domain][job.label] = job
        if job.runs_at_load:
            job.demand()
        return job

    def remove(self, job: Job) -> None:
        """Asynchronous, as bootout is: returns when the signal is sent."""
        jobs = self.domains[job.domain]

        def unregister() -> None:
            jobs.pop(job.label, None)

        job.remove(unregister)

    # -- sessions

    def login(self) -> None:
        """A console login: gui/501 appears with every agent of ~/Library/LaunchAgents."""
        if GUI in self.domains:
            return
        self.asid += 1
        self.domains[GUI] = {}
        self._load(GUI, self.machine.home / "Library/LaunchAgents")

    def boot(self) -> None:
        """The start of the Mac: the daemons of /Library/LaunchDaemons, all together."""
        self._load(SYSTEM, self.machine.root / "Library/LaunchDaemons")

    def _load(self, domain: str, folder: Path) -> None:
        disabled = self.overrides(domain)
        for path in sorted(folder.glob("*.plist")):
            # From macOS 14 links are ignored at login (rundesk study); bootstrap still takes them.
            if path.is_symlink() and self.machine.macos_major >= 14:
                continue
            with contextlib.suppress(ValueError):
                definition = read_definition(path, self.machine)
                label = definition["Label"]
                taken = label in self.domains[domain] or disabled.get(label, False)
                if SESSIONS[domain] in sessions(definition, domain == SYSTEM) and not taken:
                    self.add(domain, path, definition)

    async def logout(self) -> None:
        """End gui/501: every job is told to leave, and given its ExitTimeOut."""
        jobs = list(self.domains.get(GUI, {}).values())
        self.tearing_down = True
        for job in jobs:
            self.remove(job)
        for job in jobs:
            await job.gone.wait()
        self.domains.pop(GUI, None)
        self.tearing_down = False

    def forget(self) -> None:
        """What a power cut leaves: no domains, and no timer that could start anything."""
        for jobs in self.domains.values():
            for job in list(jobs.values()):
                job.remove(lambda: None)
        self.domains = {SYSTEM: {}, USER: {}}
