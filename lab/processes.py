"""Which processes belong to a Mac, and ending them; run as a program it is the lab's safety net.

Every process of a Mac carries LAB_MAC=<root> in its environment, which survives daemonising,
new sessions and a killed parent.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # as in lab.mac: every stand-in imports this module
if TYPE_CHECKING:
    from collections.abc import Iterable

MARKER = "LAB_MAC"


def of_mac(root: str) -> list[int]:
    """The living processes of the Mac at `root`, oldest first."""
    wanted = f"{MARKER}={root}"
    if os.path.isdir("/proc/self"):
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        return sorted(pid for pid in pids if wanted.encode() in _environ(pid) and _alive(pid))
    # macOS workstations: ps can show the environment of one's own processes.
    import subprocess

    listing = subprocess.run(
        ["/bin/ps", "-axwwE", "-o", "pid=,command="], capture_output=True, text=True, check=False
    )
    rows = (line.split(None, 1) for line in listing.stdout.splitlines())
    return sorted(int(row[0]) for row in rows if len(row) == 2 and wanted in row[1].split(" "))


def _environ(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:  # gone meanwhile, or somebody else's
        return []


def _alive(pid: int) -> bool:
    """Whether it is more than a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] != b"Z"
    except (OSError, IndexError):
        return False


def _has_left(pid: int) -> bool:
    """Whether nothing of it is there but what its parent may ask for. A process loses its
    environment first, by which it is known, and its ports with the last of its threads."""
    try:
        return not _alive(pid) and len(os.listdir(f"/proc/{pid}/task")) == 1
    except OSError:
        return True


def environment(pid: int) -> dict[str, str]:
    """The environment a process was started with (Linux only; empty elsewhere)."""
    pairs = (entry.decode(errors="replace").partition("=") for entry in _environ(pid))
    return {name: value for name, _, value in pairs if name}


def kill_all(roots: Iterable[str], grace: float = 0.0) -> int:
    """End every process of these Macs, politely for `grace` seconds; returns how many there were.

    Repeats because a process may fork while we look, and until their ports are free.
    """
    import signal
    import time

    roots = list(roots)
    seen: set[int] = set()
    deadline = time.monotonic() + grace
    first = True
    while True:
        alive = [pid for root in roots for pid in of_mac(root) if pid != os.getpid()]
        if not alive and all(map(_has_left, seen)):
            return len(seen)
        if time.monotonic() >= deadline + 5:  # unkillable: nothing more can be done
            return len(seen)
        seen.update(alive)
        if time.monotonic() >= deadline:
            _signal(alive, signal.SIGKILL)
        elif first:
            _signal(alive, signal.SIGTERM)
        first = False
        time.sleep(0.02)


def _signal(pids: Iterable[int], number: int) -> None:
    import contextlib

    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def main(roots: list[str]) -> None:
    """Wait until the daemon's end of our stdin closes, however it died; then clear up after it."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the daemon's to handle
    while os.read(0, 1024):
        pass
    kill_all(roots)


if __name__ == "__main__":
    main(sys.argv[1:])
