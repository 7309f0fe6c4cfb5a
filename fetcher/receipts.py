"""What was verified, of which file, and who put it there: DIRECTORY/.herd/PATH.receipt.

One line, SHA256 SIZE MTIME INODE ORIGIN. A file that was changed, or copied (another inode), is no
longer the one that was verified. ORIGIN is fetched, asked or adopted; only what is fetched may be
removed one day.
"""

import os
import time
from pathlib import Path
from typing import NamedTuple

from fetcher import no_links
from fetcher.errors import Failure

ADOPTED = "adopted"
UNKNOWN = "-"
"""In place of a checksum, for a file that was set aside without one."""


class Known(NamedTuple):
    """What the receipt of a path says, "" without one; whether it is of this very file."""

    valid: bool = False
    sha256: str = ""
    origin: str = ""


class Receipts:
    """Of the files of one directory, by paths relative to it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def known(self, path: str) -> Known:
        """What is known of a file."""
        try:
            note = no_links.read(self._directory, self._at(path)).decode("ascii")
            sha256, *stat, origin = note.split()
        except (OSError, ValueError):
            return Known()
        now = look(self._directory / path)
        # Who put a copy there is not who put the original.
        same_file = now[-1:] == stat[-1:]
        return Known(now == stat, sha256, origin if same_file else "")

    def vouch(self, path: str, sha256: str, origin: str, file: str | None = None) -> None:
        """For what is at a path, or is `file` and will be moved there."""
        stat = look(self._directory / (file or path))
        try:
            text = " ".join([sha256, *stat, origin]) + "\n"
            no_links.write(self._directory, self._at(path), text)
        except OSError as error:
            raise Failure(f"{path}: cannot write its receipt: {error.strerror}") from None

    def forget(self, path: str) -> None:
        """Removes a receipt, if there is one."""
        no_links.remove(self._directory, self._at(path))

    def set_aside(self, path: str, sha256: str = "") -> str:
        """Renames a file, with its origin, which tells whether it may be removed one day; the
        path that it has now."""
        known = self.known(path)
        at = int(time.time())
        while os.path.lexists(self._directory / (aside := f"{path}.set-aside-{at}")):
            at += 1
        try:
            no_links.rename(self._directory, path, aside)
        except OSError as error:
            raise Failure(f"cannot set {path} aside: {error.strerror}") from None
        if known.origin:
            self.vouch(aside, sha256 or UNKNOWN, known.origin)
        self.forget(path)
        return aside

    def _at(self, path: str) -> str:
        return f".herd/{path}.receipt"


def look(path: Path) -> list[str]:
    """Size, time and inode as macOS' `stat -L -f '%z %Fm %i'` prints them; [] without a file."""
    try:
        stat = path.stat()
    except OSError:
        return []
    seconds, nanoseconds = divmod(stat.st_mtime_ns, 10**9)
    return [str(stat.st_size), f"{seconds}.{nanoseconds:09}", str(stat.st_ino)]
