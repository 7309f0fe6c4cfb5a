"""One file on its way: its states, and the names beside its place."""

import os
import re
from contextlib import suppress
from enum import Enum
from functools import cached_property
from pathlib import Path

from fetcher import no_links
from fetcher.hashing import Digest
from fetcher.pieces import Pieces
from fetcher.receipts import Receipts
from fetcher.spec import File

_LEFT = re.compile(r"(\.\d+)?(\.pid|\.status|\.sum|\.at)?")
"""What a transfer by an older version of ours left behind the name of the part."""

SMALLEST_PIECE, LARGEST_PIECE = 1 << 20, 256 << 20


class State(Enum):
    """In the order in which a file may go through them."""

    ADOPT = "it is there, but not verified"
    GET = "bytes are missing"
    CHECK = "all bytes are there, but not verified"
    CHECKED = "verified, while an earlier version has its name"
    WHOLE = "verified and in place"
    DROPPED = "of a model that failed"


class Item:
    """A file of a directory; its bytes and times are those of this run."""

    def __init__(self, directory: Path, file: File, receipts: Receipts) -> None:
        self.directory, self.file, self.receipts = directory, file, receipts
        self.state = State.GET
        self.part = f"{file.path}.{file.sha256[:12]}.part"
        self.digest: Digest | None = None
        self.given: dict[str, int] = {}  # bytes, by who gave them
        self.wrong = 0  # times that it arrived wrong, and no other Mac may have been it
        self.doubted: set[str] = set()  # other Macs that gave bytes of it when it was wrong
        self.no_ranges = False

    @cached_property
    def pieces(self) -> Pieces:
        """Read from the disk when they are first wanted, which is under the lock."""
        file = self.file
        journal = f".herd/{file.path}.{file.sha256[:12]}.pieces"
        return Pieces(self.directory, file.path, self.part, journal, file.sha256, file.size)

    @property
    def at(self) -> Path:
        """Its place."""
        return self.directory / self.file.path

    @property
    def part_at(self) -> Path:
        return self.directory / self.part

    @property
    def got(self) -> int:
        """Bytes that are there."""
        return self.pieces.have if self.state in (State.GET, State.DROPPED) else self.file.size

    @property
    def hashed(self) -> int:
        """Bytes of it, while it is verified."""
        return self.digest.done if self.digest else 0

    def piece(self, start: int, end: int) -> int:
        """Where a piece ends that begins at `start`, before `end`: a file has at least eight."""
        if self.no_ranges:
            return self.file.size
        size = max(SMALLEST_PIECE, min(LARGEST_PIECE, -(-self.file.size // 8)))
        return min(end, (start // size + 1) * size)

    def clear_away(self) -> None:
        """Removes what its transfers left, of older versions of ours, too."""
        self.pieces.close()
        self.pieces.remove_journal()
        self.receipts.forget(self.part)
        with suppress(OSError), no_links.parent(self.directory, self.part) as (folder, prefix):
            for name in os.listdir(folder):
                if name.startswith(prefix) and _LEFT.fullmatch(name[len(prefix) :]):
                    os.unlink(name, dir_fd=folder)
