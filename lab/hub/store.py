"""Repositories as plain directories: what the Hub knows about each, derived from the bytes.

A file `.gated` in a repository holds the one token that may download from it, `.refs` further names
of its one revision, `.moved` what it is called now.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

LFS_SUFFIXES = {".gguf", ".safetensors", ".bin"}
LFS_BYTES = 10_000_000
OURS = (".gated", ".refs", ".moved")


@dataclass(frozen=True)
class Entry:
    """A file of a revision; `oid` is git's, of the pointer where the file is kept in LFS."""

    path: str
    file: Path
    size: int
    oid: str
    sha256: str
    lfs: bool

    @property
    def pointer_size(self) -> int:
        return len(_pointer(self.sha256, self.size))


@dataclass(frozen=True)
class Repo:
    name: str
    commit: str
    entries: dict[str, Entry]
    gate: str | None
    refs: frozenset[str] = frozenset()


def moved(root: Path, name: str) -> str | None:
    """What a repository is called now, if that is another name."""
    note = root / name / ".moved"
    return note.read_text().strip() if ".." not in Path(name).parts and note.exists() else None


def load(root: Path, name: str) -> Repo | None:
    """The repository "org/name" as it is on disk now, or None; hashing is cached per file."""
    directory = root / name
    if ".." in Path(name).parts or not directory.is_dir():
        return None
    entries = {}
    for file in sorted(directory.rglob("*")):
        path = file.relative_to(directory)
        if file.is_file() and not path.parts[0].startswith(OURS):
            status = file.stat()
            entries[path.as_posix()] = _entry(
                path.as_posix(), file, status.st_size, status.st_mtime_ns
            )
    listing = "".join(f"{entry.oid} {path}\n" for path, entry in entries.items())
    gate, refs = directory / ".gated", directory / ".refs"
    return Repo(
        name,
        hashlib.sha1(f"{name}\n{listing}".encode()).hexdigest(),
        entries,
        gate.read_text().strip() if gate.exists() else None,
        frozenset(refs.read_text().split() if refs.exists() else ()),
    )


@lru_cache(maxsize=1000)
def _entry(path: str, file: Path, size: int, _mtime_ns: int) -> Entry:
    whole, blob = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size)
    with file.open("rb") as source:
        while chunk := source.read(1 << 20):
            whole.update(chunk)
            blob.update(chunk)
    lfs = file.suffix in LFS_SUFFIXES or size > LFS_BYTES
    if lfs:
        pointer = _pointer(whole.hexdigest(), size)
        blob = hashlib.sha1(b"blob %d\0" % len(pointer) + pointer)
    return Entry(path, file, size, blob.hexdigest(), whole.hexdigest(), lfs)


def _pointer(sha256: str, size: int) -> bytes:
    """The text that git holds in place of a large file (github.com/git-lfs, docs/spec.md)."""
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
    )
