"""Which names a repository's files may have on a Mac; pure, and for `make lock`, too.

A Mac's disk takes names that differ in case, or in how an accent is written, for one; and beside a
model's files are ours: its notes in .herd, its unfinished parts. Refused is what would be read in
two ways by the disk, a shell, a terminal or us. A name that is left means itself everywhere.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator

LONGEST_NAME, LONGEST_PATH = 200, 500
"""Bytes: APFS takes 255 of a name, and ours add a checksum's start, `.part.receipt` and `.new`;
macOS takes 1024 of a path, which begins with the directory of all models."""

_OURS = re.compile(
    r".*(\.[0-9a-f]{12}\.(part|pieces)(\.\w+)?|\.receipt|\.set-aside-\d+)|\.herd", re.IGNORECASE
)

# Letters, marks and signs that show as nothing, by Unicode's Default_Ignorable_Code_Point, and
# three that are blank by their shape; all else that shows as nothing is not printable anyway.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\ufffc"
    "\U00016fe4\U0001d159\U000e0100-\U000e01ef]"
)


def fault(path: str) -> str | None:
    """Why a path cannot be one of a file below a model's directory, in words; None when it can."""
    steps = path.split("/")
    if {"", ".", ".."} & set(steps):
        return "is no path inside a repository"
    for character in path:
        # Controls, formats (as of writing backwards, or of no width), all spaces but the one,
        # surrogates, what is of private use or none.
        if not character.isprintable() or _BLANK.match(character):
            return f"holds the character U+{ord(character):04X}, which does not show"
    if odd := re.search(r"[\\:]", path):
        return f"holds `{odd[0]}`, which parts paths elsewhere"
    if unicodedata.normalize("NFC", path) != path:
        return "holds an accent apart from its letter (it is not in Unicode's form C)"
    if any(step[0] in "- " or step[-1] in ". " for step in steps):
        return "has a name that begins with `-` or a space, or ends with a dot or a space"
    if any(step.startswith(("..", "._")) for step in steps):
        return "has a name that begins as macOS' own do"
    if fold(steps[0]) == ".cache" or any(_OURS.fullmatch(step) for step in steps):
        return "has a name that is for what we keep beside a model's files"
    if (
        max(len(step.encode()) for step in steps) > LONGEST_NAME
        or len(path.encode()) > LONGEST_PATH
    ):
        return f"is longer than {LONGEST_NAME} bytes in a name, or {LONGEST_PATH} in all"
    return None


def fold(path: str) -> str:
    """The same for two names that a Mac's disk takes for one."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())


def clashes(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Paths that cannot be beside each other: they are one to the disk, or one is to be a file
    and a directory. The same path twice is no clash."""
    seen: dict[str, str] = {}
    ordered = sorted(set(paths))
    for path in ordered:
        if (first := seen.setdefault(fold(path), path)) != path:
            yield first, path
    folders: dict[str, str] = {}
    for path in ordered:
        steps = path.split("/")
        for count in range(1, len(steps)):
            above = "/".join(steps[:count])
            if (first := folders.setdefault(fold(above), above)) != above:
                yield first, above
                folders[fold(above)] = above
            if fold(above) in seen:
                yield seen[fold(above)], path
