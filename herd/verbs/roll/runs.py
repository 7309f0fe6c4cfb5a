"""The runs of pyinfra that a roll consists of: a process for each Mac.

A roll that is killed leaves the process at work, which finishes its Mac; the next roll waits for
that, as both hold a lock on the inventory. Ctrl+C ends a roll with the Macs that are being changed,
and at once when it comes again.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from herd.verbs.machine_readable import DONE, FAILED
from herd.workstation.toolkit import ROOT

RUNS = {
    "roll": ["deploy.py"],
    "upgrade": ["--data", "homebrew_upgrade=true", "deploy.py"],
    "rollback": ["rollback.py"],
}


@dataclass(frozen=True)
class Ended:
    """A run that is over: whether it went well and, for a program, the operations that changed
    something or failed."""

    well: bool
    operations: Mapping[str, Sequence[str]]


class Running:
    """Runs, one or several at a time, that inherit a lock."""

    def __init__(self, lock: int) -> None:
        self.interrupted = False
        self.lock = lock
        self.processes: list[subprocess.Popen[bytes]] = []

    def run(
        self, verb: str, inventory: str, names: Sequence[str], more: Sequence[str], *, told: bool
    ) -> dict[str, Ended]:
        """One of RUNS on each of these hosts; where a program is to be `told`, with what it did."""
        self.processes = [self._begin(verb, inventory, name, more, told=told) for name in names]
        ended = {}
        for name, process in zip(names, self.processes, strict=True):
            said, _ = process.communicate()
            ended[name] = Ended(process.returncode == 0, operations(said, name) if told else {})
        return ended

    def _begin(
        self, verb: str, inventory: str, name: str, more: Sequence[str], *, told: bool
    ) -> subprocess.Popen[bytes]:
        *data, file = RUNS[verb]
        pyinfra = [sys.executable, "-m", "pyinfra", f"--config={ROOT / 'config.py'}", "-y"]
        how = ["--json"] if told else []
        words = [*pyinfra, *how, *data, f"--limit={name}", *more, "--", inventory, str(ROOT / file)]
        # Ctrl+C in a terminal is for all of its processes, and pyinfra would end by it; what is
        # blocked stays so in a child, whatever handler that has.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return subprocess.Popen(
                words,
                env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"},
                stdout=subprocess.PIPE if told else None,
                pass_fds=[self.lock],
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def interrupt(self, *_: Any) -> None:
        """The first time it ends with what is under way, then with that, too."""
        if not self.interrupted and any(each.poll() is None for each in self.processes):
            self.interrupted = True
            words = "Ends with what is being changed now; Ctrl+C once more leaves it half-way."
            print(f"\n{words}", file=sys.stderr, flush=True)
            return
        for each in self.processes:
            each.terminate()
        raise KeyboardInterrupt


def operations(said: bytes, name: str) -> dict[str, Sequence[str]]:
    """Of pyinfra's own `--json`, what changed something on a host, or would in a dry run; one that
    could not begin says nothing there."""
    found = _read(said)
    if found.get("results"):
        every = found["results"]["operations"]
        changed, failed = (
            [one["name"] for one in every if name in one[word]] for word in ("success", "error")
        )
    else:
        plan = found.get("plan", [])
        changed, failed = [o["name"] for o in plan if name in o["hosts_with_change"]], []
    return {"changed": changed, "failed": failed[:1]}  # what comes behind was not begun


def became(
    names: Sequence[str], said: bytes, *, dry: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    """For a program, what of pyinfra's own `--json` is of each host, and which were not reached."""
    there = _reached(said, names)
    found = {name: operations(said, name) for name in names if name in there}
    told = {
        name: {"outcome": FAILED if each["failed"] else DONE, **each}
        for name, each in found.items()
    }
    # A dry run does not tell those that it did not reach from those where nothing would change.
    gone = [] if dry else [name for name in names if name not in there]
    return told, {name: f"cannot connect to {name}" for name in gone}


def _reached(said: bytes, names: Sequence[str]) -> set[str]:
    """Those of the hosts with which it did anything, or would in a dry run."""
    found = _read(said)
    if results := found.get("results"):
        every = results["operations"]
        began = {n for one in every for w in ("success", "error", "no_change") for n in one[w]}
        return {name for name in names if name in began or name not in results["failed_hosts"]}
    plan = found.get("plan", [])
    return {name for name in names if any(name in one["hosts_with_change"] for one in plan)}


def _read(said: bytes) -> dict[str, Any]:
    try:
        found = json.loads(said)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def only_one(inventory: str) -> Iterator[Running]:
    """No other roll of this inventory, nor what one that was killed has left, is at work."""
    lock = os.open(inventory, os.O_RDONLY)
    before = signal.getsignal(signal.SIGINT)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            words = "Another roll of this inventory, or a Mac that one has begun, is waited for."
            print(words, file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        running = Running(lock)
        signal.signal(signal.SIGINT, running.interrupt)
        yield running
    finally:
        signal.signal(signal.SIGINT, before)
        os.close(lock)
