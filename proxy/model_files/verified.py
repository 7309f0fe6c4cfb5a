"""Which model files are whole on this Mac, and which are under way, as fetches leave word of it.

Below the directory of all models, a fetch writes `NAME/.herd/PATH.receipt` once NAME/PATH is
verified, and `NAME/.herd/PATH.<12 hex digits>.pieces` until then. Nothing of these is taken on
trust: a receipt holds for the very file that it was written of, and links below NAME are not
followed, so nothing outside of it is ever opened.
"""

import asyncio
import json
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

from proxy.exchange import Descriptor

SHARED_SECONDS = 0.3
"""Requests that come within this time share a look at the disk."""

LONGEST = 2**20
"""Bytes of a note; each range of a journal takes some 30."""

_RECEIPT = re.compile(r"([0-9a-f]{64}) ([0-9]{1,18}) ([0-9]+\.[0-9]{9}) ([0-9]{1,20}) [a-z]+\n?")
_JOURNAL = re.compile(r".+\.[0-9a-f]{12}\.pieces", re.DOTALL)
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Whole(NamedTuple):
    """A verified file: where it is, and what shows that it is still the same."""

    directory: str
    path: str
    size: int
    mtime: str
    """Seconds with nine decimals, as macOS' `stat -f %Fm` writes them."""
    inode: int


class Stock(NamedTuple):
    """What is there, by SHA-256."""

    whole: Mapping[str, Whole]
    under_way: Mapping[str, tuple[int, int]]
    """Its size, and how many bytes of it are here: never all of them."""


class VerifiedFiles:
    """The directory of all models; it need not exist."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._directory = os.fspath(directory)
        self._look: asyncio.Future[Stock] | None = None
        self._began = 0.0

    async def stock(self) -> Stock:
        """What is there, as of a moment ago."""
        now = time.monotonic()
        if self._look is None or (self._look.done() and now - self._began > SHARED_SECONDS):
            self._began = now
            self._look = asyncio.ensure_future(asyncio.to_thread(stock_of, self._directory))
        return await asyncio.shield(self._look)  # one who leaves takes it from nobody else

    async def open(self, sha256: str) -> tuple[Descriptor, int] | None:
        """The file with this content, and its size; None if it is not whole here."""
        file = (await self.stock()).whole.get(sha256)
        found = await asyncio.to_thread(opened, file) if file else None
        return (found, file.size) if found and file else None


def stock_of(directory: str) -> Stock:
    """Reads all that fetches have noted; what is malformed says nothing."""
    whole: dict[str, Whole] = {}
    under_way: dict[str, tuple[int, int]] = {}
    for top, path in _notes(directory):
        text = _text(os.path.join(top, ".herd", path))
        if path.endswith(".receipt"):
            if found := _RECEIPT.fullmatch(text):
                sha256, size, mtime, inode = found.groups()
                file = Whole(top, path.removesuffix(".receipt"), int(size), mtime, int(inode))
                if opened(file):
                    whole[sha256] = file
        elif journal := _journal(text):
            sha256, total, have = journal
            under_way[sha256] = max(under_way.get(sha256, (0, 0)), (total, min(have, total - 1)))
    return Stock(whole, under_way)


def opened(file: Whole) -> Descriptor | None:
    """The file, if it is the one that was verified; it cannot be exchanged for another any more."""
    try:
        folder = Descriptor(os.open(file.directory, os.O_RDONLY | os.O_DIRECTORY))
        *parents, name = file.path.split("/")
        for parent in parents:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            folder = Descriptor(os.open(parent, flags, dir_fd=folder.number))
        # A pipe would be waited for.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        found = Descriptor(os.open(name, flags, dir_fd=folder.number))
        is_now = os.fstat(found.number)
    except OSError:
        return None
    mtime = f"{is_now.st_mtime_ns // 10**9}.{is_now.st_mtime_ns % 10**9:09}"
    same = (is_now.st_size, mtime, is_now.st_ino) == (file.size, file.mtime, file.inode)
    return found if same and stat.S_ISREG(is_now.st_mode) else None


def _notes(directory: str) -> Iterator[tuple[str, str]]:
    """Each model's directory, with the path of each note below its `.herd`."""
    try:
        tops = [entry.path for entry in os.scandir(directory) if entry.is_dir()]
    except OSError:
        return
    for top in tops:
        herd = os.path.join(top, ".herd")
        if os.path.islink(herd):
            continue
        for folder, _, names in os.walk(herd):
            for name in names:
                if name.endswith(".receipt") or _JOURNAL.fullmatch(name):
                    yield top, os.path.relpath(os.path.join(folder, name), herd)


def _text(path: str) -> str:
    """A small file of ASCII; empty for what is none."""
    with suppress(OSError, UnicodeDecodeError):
        note = Descriptor(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK))
        is_now = os.fstat(note.number)
        if stat.S_ISREG(is_now.st_mode) and is_now.st_size <= LONGEST:
            return note.read(LONGEST, 0).decode("ascii")
    return ""


def _journal(text: str) -> tuple[str, int, int] | None:
    """SHA-256, size, and how many bytes have come; None for no journal."""
    try:
        told = json.loads(text)
        sha256, size, have, ranges = (told[name] for name in ("sha256", "size", "have", "ranges"))
        numbers = [size, have, *(number for first, end in ranges for number in (first, end))]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    good = (
        isinstance(sha256, str)
        and _SHA256.fullmatch(sha256)
        and all(type(number) is int for number in numbers)
        and 0 < size < 2**63
        and 0 <= have <= size
        and all(0 <= first <= end <= size for first, end in ranges)
    )
    return (sha256, size, have) if good else None
