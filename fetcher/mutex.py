"""One run per directory at a time: DIRECTORY/.herd/lock is held with fcntl.

A run that lost its connection goes on until it wants to print, and two writers would spoil a file:
so a later run ends the earlier one, and goes on where that one was. Who that is the kernel says
(F_GETLK), not a number that somebody wrote, and it is ended only if it is a fetcher. Nobody but
this user may open the file, so nobody else can hold it.
"""

import asyncio
import errno
import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from fetcher import no_links
from fetcher.errors import Failure

LOOK = 0.1
"""Seconds between two attempts to get the lock."""

ORDERLY = 5.0
"""Seconds for an earlier run to write its journals, before it is killed."""

# struct flock of fcntl(2): on macOS start, length, pid, type, whence; on Linux the latter come
# first, and numbers are aligned.
_FLOCK = struct.Struct("qqihh" if sys.platform == "darwin" else "hhqqi4x")


async def hold(directory: Path, tell: Callable[[], None]) -> None:
    """Gets the lock, until this process ends; `tell` is called when it takes that of another."""
    try:
        fd = no_links.open_ours(directory, ".herd/lock", 0o600)
    except OSError as error:
        raise Failure(f"cannot make {directory}: {error.strerror}") from None
    if _get(fd):
        return
    tell()
    for end, patience in ((signal.SIGTERM, ORDERLY), (signal.SIGKILL, ORDERLY)):
        if await _without(fd, end, patience):
            return
    raise Failure("an earlier run does not end")


async def _without(fd: int, end: signal.Signals, patience: float) -> bool:
    """Ends who holds the lock, and gets it."""
    told = set()
    for _ in range(round(patience / LOOK)):
        # Asked at the moment of the signal: who does not hold it any more is left alone.
        holder = _holder(fd)
        if holder is not None and holder not in told:
            told.add(holder)
            with suppress(ProcessLookupError):
                _end(holder, end)
        await asyncio.sleep(LOOK)
        if _get(fd):
            return True
    return False


def _end(holder: int, end: signal.Signals) -> None:
    # -1 is who holds it by flock, as earlier versions of ours did: nobody says who that is.
    if holder <= 1 or holder == os.getpid():
        raise Failure("an earlier run is under way: wait for its end, or end it on the Mac")
    command = ["/bin/ps", "-o", "args=", "-p", str(holder)]
    line = subprocess.run(command, capture_output=True, text=True, errors="replace").stdout
    if line and not re.search(r"(^|[\s/])fetcher(\.pyz)?(\s|$)", line):
        raise Failure(f"process {holder}, which is no run of ours, holds .herd/lock: end it")
    try:
        os.kill(holder, end)
    except PermissionError:
        raise Failure(f"process {holder} of another user holds .herd/lock: end it") from None


def _get(fd: int) -> bool:
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        raise Failure(f".herd/lock cannot be held: {error.strerror}") from None
    return True


def _holder(fd: int) -> int | None:
    """The process that holds the lock; None if there is none now."""
    darwin = sys.platform == "darwin"
    kind, whence, whole = fcntl.F_WRLCK, os.SEEK_SET, (0, 0)
    asked = _FLOCK.pack(*whole, 0, kind, whence) if darwin else _FLOCK.pack(kind, whence, *whole, 0)
    found = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, asked))
    (pid, kind) = found[2:4] if darwin else (found[4], found[0])
    return None if kind == fcntl.F_UNLCK else pid
