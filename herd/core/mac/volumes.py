"""Where a stack and its models really are: on a volume that is there, and of a kind that can hold
them. What cannot must not land on the disk that the Mac starts from instead."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from herd.core.settings.problems import Problem

_KINDS = {"apfs", "hfs"}
"""Of macOS's file systems, those with owners, modes, links and exact times (mount(8))."""
# FAT keeps times to 2 s (exFAT: 10 ms) and no modes; a network is none for mmap and mlock.
_WHY_NOT = "keeps no owners, modes or exact times, so every deploy would write and hash anew"
_CLOUD = ("Library/Mobile Documents", "Library/CloudStorage")
_PRIVATE = ("Documents", "Desktop", "Downloads")


@dataclass(frozen=True)
class Place:
    """One directory of a stack: what it is called ("stack_root", "models"), where it is by no link,
    the mount point of the volume that would hold it now, and that volume's kind ("apfs")."""

    name: str
    path: str
    mount: str
    kind: str


def problems(places: Iterable[Place], home: str) -> Iterator[Problem]:
    """Why the places cannot hold what is to be put there; each of them once."""
    seen: set[str] = set()
    for place in places:
        for what, fix in _wrong(place, home):
            if what not in seen:
                seen.add(what)
                yield Problem(f"{place.name} ({place.path})", what, fix, kind="mac")


def removable(places: Iterable[Place]) -> list[str]:
    """Paths on volumes that macOS's privacy may keep launchd jobs off, though SSH reads them."""
    return [place.path for place in places if _is_below(place.mount, "/Volumes")]


def unread(directory: str) -> Problem:
    """One that a job may not read (launchd.plist(5), CAVEATS)."""
    return Problem(
        f"directory {directory}",
        "macOS keeps launchd jobs off this volume, so no model of it could be served, and nobody "
        "would say why.",
        "allow it at the Mac's screen under System Settings > Privacy & Security > Files and "
        "Folders (or Full Disk Access), or use the Mac's own disk.",
        kind="mac",
    )


def _wrong(place: Place, home: str) -> Iterator[tuple[str, str]]:
    volume = re.match(r"/Volumes/[^/]+", place.path, re.IGNORECASE)
    if volume and not _is_below(place.mount, volume[0]):
        yield (
            f"The volume {volume[0]} is not mounted.",
            "connect it, or unlock it, and deploy again; one that shall be there before anybody "
            "logs in is for macOS to mount at its start (docs/operations.md, Trouble).",
        )
        return
    if place.kind and place.kind not in _KINDS:
        network = place.kind.startswith(("smb", "nfs", "afp", "webdav", "cifs"))
        what = "is on a network, where no model can be kept in memory" if network else _WHY_NOT
        yield (
            f"{place.mount} has the file system {place.kind}, which {what}.",
            "use a volume with APFS (Disk Utility makes one), or the Mac's own disk.",
        )
    for name in _CLOUD:
        if _is_below(place.path, f"{home}/{name}"):
            yield (
                f"It lies in {name}, whose files macOS takes off the disk as it likes.",
                "choose a directory that no cloud keeps.",
            )
    for name in _PRIVATE:
        if _is_below(place.path, f"{home}/{name}"):
            yield (
                f"It lies in {name}, where macOS keeps launchd jobs out.",
                "choose another directory.",
            )


def _is_below(path: str, directory: str) -> bool:
    """As macOS's volumes take names: whether they are in capitals or not."""
    return f"{path}/".casefold().startswith(f"{directory}/".casefold())
