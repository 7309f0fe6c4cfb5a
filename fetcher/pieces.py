"""An unfinished file: PATH.SHA.part, written in place, and the journal that says what is in it.

The journal, .herd/PATH.SHA.pieces, is one line of JSON:

    {"sha256": HEX, "size": BYTES, "have": BYTES, "ranges": [[START, END], …]}

It is replaced about once a second, after the bytes that it names are on the disk: a crash loses
about a second, and never leaves trust in bytes that are not there. A part without one is not
trusted. The proxy tells other Macs what the journal says, from the moment that it exists.
"""

import asyncio
import fcntl
import json
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fetcher import no_links
from fetcher.errors import Failure
from fetcher.ranges import Ranges


class Pieces:
    """The bytes of one file that have come so far."""

    def __init__(
        self, directory: Path, name: str, part: str, journal: str, sha256: str, size: int
    ) -> None:
        self._directory = directory
        self._name, self._part, self._journal = name, part, journal
        self._sha256, self._size = sha256, size
        self._fd = -1
        # What a thread is about to write must not come after what has outdated it.
        self._writing = threading.Lock()
        self._version = 0
        self._changed = False
        self._ranges = Ranges(_read(directory, part, journal, sha256, size))

    @property
    def have(self) -> int:
        """Bytes that are there."""
        return self._ranges.total

    @property
    def whole(self) -> bool:
        return self.have == self._size

    @property
    def begun(self) -> bool:
        """Whether other Macs can see that this one fetches the file."""
        return self._fd >= 0

    def gaps(self, claimed: Iterable[tuple[int, int]] = ()) -> Iterator[tuple[int, int]]:
        """What is neither there nor claimed."""
        return Ranges([*self._ranges, *claimed]).gaps(self._size)

    def begin(self) -> None:
        """Opens the part, and makes the journal."""
        if self.begun:
            return
        try:
            self._fd = no_links.open_ours(self._directory, self._part, 0o644)
            if not self.have:
                os.ftruncate(self._fd, 0)
            no_links.write(self._directory, self._journal, self._line(list(self._ranges)))
        except OSError as error:
            raise Failure(f"{self._name}: cannot be written: {error.strerror}") from None

    def write(self, at: int, data: bytes) -> None:
        """Puts bytes where they belong."""
        done = 0
        try:
            while done < len(data):
                done += os.pwrite(self._fd, data[done:] if done else data, at + done)
        except OSError as error:
            raise Failure(f"{self._name}: cannot be written: {error.strerror}") from None
        finally:
            self._ranges.add(at, at + done)
            self._changed = True

    def take(self, whole: Path) -> None:
        """Has all bytes from a file on the same disk, which goes. Raises OSError."""
        with self._writing:
            self._version += 1
            with no_links.parent(self._directory, self._part, make=True) as (folder, name):
                os.replace(whole, name, dst_dir_fd=folder)
            if self.begun:
                os.close(self._fd)
                self._fd = -1
            self._ranges = Ranges([(0, self._size)])
        self.begin()

    async def save(self) -> None:
        """Writes the journal, if there is something new."""
        if self._changed and self.begun:
            self._changed = False
            await asyncio.to_thread(self._save, list(self._ranges), self._version)

    def clear(self) -> None:
        """Forgets all bytes, but still fetches the file."""
        with self._writing:
            self._version += 1
            self._ranges = Ranges()
            self._changed = False
            if self.begun:
                os.ftruncate(self._fd, 0)
                no_links.write(self._directory, self._journal, self._line([]))

    def close(self) -> None:
        """Leaves the file to a later run, or to another Mac; without bytes, as if it had never
        been begun."""
        if not self.begun:
            return
        self._save(list(self._ranges), self._version)
        with self._writing:
            self._version += 1
            os.close(self._fd)
            self._fd = -1
        if not self.have and not self.whole:
            self.remove_journal()
            no_links.remove(self._directory, self._part)

    def remove_journal(self) -> None:
        """Of a file that needs none any more."""
        no_links.remove(self._directory, self._journal)

    def _save(self, ranges: list[tuple[int, int]], version: int) -> None:
        with self._writing:
            if version != self._version:
                return
            try:
                flush(self._fd)
                no_links.write(self._directory, self._journal, self._line(ranges))
            except OSError as error:
                raise Failure(f"{self._name}: cannot be written: {error.strerror}") from None

    def _line(self, ranges: list[tuple[int, int]]) -> str:
        have = sum(end - start for start, end in ranges)
        # All of it would say that it is verified, too.
        told: dict[str, Any] = {"sha256": self._sha256, "size": self._size}
        told |= {"have": max(0, min(have, self._size - 1)), "ranges": ranges}
        return json.dumps(told) + "\n"


def flush(fd: int) -> None:
    """Puts a file's bytes on the disk itself: macOS's fsync leaves them in the disk's memory."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        try:
            fcntl.fcntl(fd, full)
            return
        except OSError:
            pass  # a network disk knows no such thing
    os.fsync(fd)


def _read(
    directory: Path, part: str, journal: str, sha256: str, size: int
) -> list[tuple[int, int]]:
    """What a journal says, if it is of this content and its part can have these bytes; of what
    somebody else put there, nothing."""
    try:
        told = json.loads(no_links.read(directory, journal))
        ranges = [(start, end) for start, end in told["ranges"]]
        fd = no_links.open_to_read(directory, part)
        found = os.fstat(fd)
        os.close(fd)
        there = found.st_size if no_links.is_ours(found) else 0
        same = (told["sha256"], told["size"]) == (sha256, size)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []
    sane = all(
        type(start) is type(end) is int and 0 <= start < end <= min(size, there)
        for start, end in ranges
    )
    return ranges if same and sane else []
