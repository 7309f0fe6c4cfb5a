"""Keeps log files small that other programs write, or launchd for them.

launchd opens a job's log once, to append, and keeps it open: a file that is renamed is written to
for ever. So the last part of a file that has grown is copied beside it, and the file is emptied in
place. Lines that come between the two are lost, which takes microseconds. Copies are numbered, the
newest is 1.
"""

import fcntl
import logging
import os
import stat
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_log = logging.getLogger("proxy.logs")

MOST = 16 * 2**20
"""Bytes of a log, and of each copy beside it."""
KEPT = 1
"""Copies."""
SECONDS = 1.0
"""Between two looks while a file grows: so much longer it may have grown."""
IDLE_SECONDS = 60.0
"""The same at most, while nothing comes."""

_PIECE = 2**20


class Keeper:
    """Looks at some files until it is closed, in a thread of its own."""

    def __init__(
        self,
        paths: Sequence[Path],
        most: int = MOST,
        kept: int = KEPT,
        seconds: float = SECONDS,
    ) -> None:
        self._paths = paths
        self._most = most
        self._kept = kept
        self._seconds = seconds
        self._ending = threading.Event()
        self._failing: set[Path] = set()
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
        if paths:
            self._thread.start()

    def close(self) -> None:
        """Looks no more."""
        self._ending.set()
        if self._paths:
            self._thread.join()

    def _run(self) -> None:
        seconds, before = self._seconds, self._sizes()
        while not self._ending.wait(seconds):
            for path in self._paths:
                self._look(path)
            now = self._sizes()
            seconds = self._seconds if now != before else min(2 * seconds, IDLE_SECONDS)
            before = now

    def _sizes(self) -> list[int]:
        """Of the files that are there."""
        found = []
        for path in self._paths:
            with suppress(OSError):
                found.append(path.lstat().st_size)
        return found

    def _look(self, path: Path) -> None:
        try:
            keep_small(path, self._most, self._kept)
            self._failing.discard(path)
        except OSError as error:
            if path not in self._failing:  # said once
                self._failing.add(path)
                _log.warning("%s cannot be kept small: %s", path.name, error.strerror)


def keep_small(path: Path, most: int, kept: int = KEPT) -> None:
    """Empties a file that is larger; its last part, of as many bytes, goes to `path`.1, and what
    was there to `path`.2, as far as so many are kept."""
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_size <= most:
            return
        source = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISREG(os.fstat(source).st_mode):
            return
        new = path.with_name(f"{path.name}.new")
        new.unlink(missing_ok=True)
        target = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            os.lseek(source, -most, os.SEEK_END)
            first = True
            while piece := os.read(source, _PIECE):
                if first:  # it begins with a line
                    piece = piece[piece.find(b"\n") + 1 :]
                    first = False
                while piece:
                    piece = piece[os.write(target, piece) :]
            _number(path, new, kept)  # before it is emptied: who is killed here loses nothing
        except OSError:  # as on a full disk, where room is what is needed
            new.unlink(missing_ok=True)
            raise
        finally:
            os.close(target)
            os.ftruncate(source, 0)
    finally:
        os.close(source)


def _number(path: Path, new: Path, kept: int) -> None:
    """Each copy moves on by one; those beyond the last are of a time when more were kept."""

    def copy(number: int) -> Path:
        return path.with_name(f"{path.name}.{number}")

    for number in range(kept, 1, -1):
        with suppress(FileNotFoundError):
            copy(number - 1).replace(copy(number))
    if kept:
        new.replace(copy(1))
    else:
        new.unlink()
    number = kept + 1
    while copy(number).exists():
        copy(number).unlink()
        number += 1


def append(descriptor: int = 2) -> None:
    """Whoever opened our log, we write behind its end: also where that was emptied."""
    with suppress(OSError):
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_APPEND)
