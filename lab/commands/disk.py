"""df(1) in macOS's layout, with free space that tests choose."""

from __future__ import annotations

import os

from lab.commands.base import Illegal, fail, getopt
from lab.mac import Machine

DATA = "/System/Volumes/Data"


def mount(mac: Machine, args: list[str]) -> int:
    """mount(8) without arguments (captures of macOS 15 and 26; few of its rows)."""
    print("/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)")
    print(f"/dev/disk3s5 on {DATA} (apfs, local, journaled, nobrowse, protect, root data)")
    for number, (place, kind) in enumerate(mac.facts["volumes"].items(), 5):
        device = "//tester@nas._smb._tcp.local/all" if kind == "smbfs" else f"/dev/disk{number}s1"
        print(f"{device} on {mac.root}/{place} ({kind}, local, nodev, nosuid, noowners)")
    return 0


def df(mac: Machine, args: list[str]) -> int:
    """A Mac's paths are on its data volume, but for those of further volumes."""
    try:
        flags, paths = getopt(args, "abgHhIiklmnPT:tY")
    except Illegal as error:
        return fail(
            f"df: {error}\nusage: df [-b | -g | -H | -h | -k | -m | -P] [-acIiln] [file ...]"
        )
    letters = {letter for letter, _ in flags}
    missing = [path for path in paths if not os.path.exists(path)]
    for path in missing:
        fail(f"df: {path}: No such file or directory")
    if missing and len(missing) == len(paths):
        return 1
    facts = mac.facts
    total, free = int(facts["disk_total_kb"]), int(facts["disk_free_kb"])
    # The sealed system volume shares the container, so its free space is the same.
    mounts = [f"{mac.root}/{place}" for place in facts["volumes"]]
    on = [each for each in mounts if any(f"{path}/".startswith(f"{each}/") for path in paths)]
    device, where = ("/dev/disk5s1", on[0]) if on else ("/dev/disk3s5", DATA)
    rows = [(device, total - free - 12000000, where)]
    if not paths:
        rows.insert(0, ("/dev/disk3s1s1", 12000000, "/"))
    unit, size = _unit(letters)
    human = bool(letters & {"h", "H"})
    posix = "P" in letters
    heading = f"{'Filesystem':<14} {unit:>11} {'Used':>9} {'Available':>9} Capacity"
    print(heading + ("" if posix else " iused      ifree %iused") + "  Mounted on")
    for device, used, mount in rows:
        percent = round(100 * used / (used + free)) if used + free else 0
        shown = [_human(kb) if human else str(kb * 1024 // size) for kb in (total, used, free)]
        line = f"{device:<14} {shown[0]:>11} {shown[1]:>9} {shown[2]:>9} {percent:>7}%"
        inodes = "" if posix else f" {'826k':>6} {free * 10 if not human else '468M':>10} {0:>5}%"
        print(f"{line}{inodes}   {mount}")
    return 1 if missing else 0


def _unit(letters: set[str]) -> tuple[str, int]:
    for letter, name, size in (
        ("h", "Size", 1),
        ("H", "Size", 1),
        ("g", "1G-blocks", 1 << 30),
        ("m", "1M-blocks", 1 << 20),
        ("k", "1024-blocks", 1 << 10),
    ):
        if letter in letters:
            return name, size
    return "512-blocks", 512


def _human(kb: int) -> str:
    value = float(kb)
    for unit in ("Ki", "Mi", "Gi", "Ti"):
        if value < 1000:
            return f"{value:.0f}{unit}" if value >= 10 else f"{value:.1f}{unit}"
        value /= 1024
    return f"{value:.0f}Pi"
