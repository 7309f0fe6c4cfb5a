"""One run per directory at a time: DIRECTORY/.herd/lock is held with flock, and has our pid.

A run that lost its connection goes on until it wants to print, and two writers would spoil a file:
so a later run ends the earlier one, and goes on where that one was.
"""

import asyncio
import fcntl
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from fetcher.errors import Failure

LOOK = 0.1
"""Seconds between two attempts to get the lock."""

ORDERLY = 5.0
"""Seconds for an earlier run to write its journals, before it is killed."""


async def hold(directory: Path, tell: Callable[[], None]) -> None:
    """Gets the lock, until this process ends; `tell` is called when it takes that of another."""
    path = directory / ".herd" / "lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise Failure(f"cannot make {directory}: {error.strerror}") from None
    if not _get(fd):
        tell()
        for end, patience in ((signal.SIGTERM, ORDERLY), (signal.SIGKILL, ORDERLY)):
            if await _without(fd, end, patience):
                break
        else:
            raise Failure("an earlier run does not end")
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)


async def _without(fd: int, end: signal.Signals, patience: float) -> bool:
    """Ends who holds the lock, and gets it."""
    before = None
    told = set()
    for _ in range(round(patience / LOOK)):
        # A run that has just got the lock may not have written its pid yet: the number that we
        # read twice, with the lock held all the while, is that of the holder.
        holder = _pid(fd)
        if holder and holder == before and holder not in told:
            told.add(holder)
            with suppress(OSError):  # it has just ended, or is somebody else's
                os.kill(holder, end)
        before = holder
        await asyncio.sleep(LOOK)
        if _get(fd):
            return True
    return False


def _get(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pid(fd: int) -> int | None:
    text = os.pread(fd, 32, 0).strip()
    pid = int(text) if text.isdigit() else 0
    return pid if pid > 1 and pid != os.getpid() else None
