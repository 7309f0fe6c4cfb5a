"""Real programs of the workstation that the Macs get in place of the lab's stand-ins."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path


class NotThere(Exception):
    """A variable names what cannot be run: better told than replaced by the stand-in."""


def named(variable: str) -> Path | None:
    """The program that the variable names, by its full path."""
    value = os.environ.get(variable)
    if not value:
        return None
    path = Path(value).absolute()
    if not path.is_file() or not os.access(path, os.X_OK):
        raise NotThere(f"{variable} names {path}, and that is no program that can be run.")
    return path


def on_path(name: str, mark: str) -> Iterator[Path]:
    """Those of that name on PATH, but for what carries our mark: a lab's own is no real one."""
    for directory in os.get_exec_path():
        found = shutil.which(name, path=directory)
        if found and not _is_marked(Path(found), mark):
            yield Path(found).absolute()


def _is_marked(path: Path, mark: str) -> bool:
    with path.open("rb") as file:
        return mark.encode() in file.read(200)
