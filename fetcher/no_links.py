"""Files below a model's directory, without following a link on the way to them or at their end.

The directory itself may be a link, as of somebody whose models are on another disk. Below it are
our parts and notes: where others may write there, too, a link of theirs would have us write into
what only we may write, and a file of theirs could be changed after it was verified.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
LARGEST_NOTE = 64 << 20
"""Bytes of a receipt or journal."""


@contextmanager
def parent(directory: Path, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """The directory of `path` below `directory`, as a descriptor, and the name in it. Raises
    OSError, as for a link on the way."""
    *steps, name = path.split("/")
    if make:
        directory.mkdir(parents=True, exist_ok=True)
    folder = os.open(directory, _FOLDER)
    try:
        for step in steps:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(step, 0o755, dir_fd=folder)
            below = os.open(step, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = below
        yield folder, name
    finally:
        os.close(folder)


def is_ours(found: os.stat_result) -> bool:
    """Whether it is a file that only we have: of this user, with no second name."""
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1


def open_ours(directory: Path, path: str, mode: int) -> int:
    """Opens a file of ours to read and write, made if there is none; what is there instead goes.
    Raises OSError."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with parent(directory, path, make=True) as (folder, name):
        try:
            fd = os.open(name, flags, dir_fd=folder)
        except OSError:  # none, a link, one that we may not write
            pass
        else:
            if is_ours(os.fstat(fd)):
                os.fchmod(fd, mode)  # nobody else has it open to write from now on
                return fd
            os.close(fd)
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
        return os.open(name, flags | os.O_CREAT | os.O_EXCL, mode, dir_fd=folder)


def open_to_read(directory: Path, path: str) -> int:
    """Raises OSError, as for a link."""
    with parent(directory, path) as (folder, name):
        return os.open(
            name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder
        )


def read(directory: Path, path: str) -> bytes:
    """A note of ours. Raises OSError; PermissionError if it is somebody else's."""
    fd = open_to_read(directory, path)
    with open(fd, "rb") as file:
        found = os.fstat(fd)
        if not is_ours(found) or found.st_size > LARGEST_NOTE:
            raise PermissionError(f"{path} is not ours")
        return file.read()


def write(directory: Path, path: str, text: str) -> None:
    """Replaces a small file as a whole. Raises OSError."""
    with parent(directory, path, make=True) as (folder, name):
        new = f"{name}.new"
        with suppress(FileNotFoundError):
            os.unlink(new, dir_fd=folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(new, flags, 0o644, dir_fd=folder), "w") as file:
            file.write(text)
        os.replace(new, name, src_dir_fd=folder, dst_dir_fd=folder)


def remove(directory: Path, path: str) -> None:
    """Removes a file, or the link that is there. Raises OSError, but not for what is not there."""
    with suppress(FileNotFoundError), parent(directory, path) as (folder, name):
        os.unlink(name, dir_fd=folder)


def rename(directory: Path, path: str, to: str) -> None:
    """Gives a file another name, which it takes from what has it. Raises OSError."""
    with (
        parent(directory, path) as (folder, name),
        parent(directory, to, make=True) as (other, new),
    ):
        os.replace(name, new, src_dir_fd=folder, dst_dir_fd=other)
