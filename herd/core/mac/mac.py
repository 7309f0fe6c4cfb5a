"""A Mac as preflight wants to know it."""

from collections.abc import Collection
from dataclasses import dataclass

from herd.core.mac.volumes import Place

ADMINS = (0, 80)
"""The groups wheel and admin of macOS, whose members may use sudo."""


def sleeps(minutes: int) -> str | None:
    """What a person is to know of a Mac that sleeps; it serves nobody then."""
    if not minutes:
        return None
    after = "a minute" if minutes == 1 else f"{minutes} minutes"
    return f'after {after} without a user; mac_sleep = "never" keeps it awake'


@dataclass(frozen=True)
class Folder:
    """A directory: where it is, by no link, its mode ("1777"), its owner and its group."""

    path: str
    mode: str
    uid: int
    gid: int
    owner: str

    def is_safe(self, uid: int) -> bool:
        """Whether only this user may exchange what is in it, and who can become root anyway."""
        bits = int(self.mode, 8)
        others = 0o002 if self.gid in ADMINS else 0o022
        return self.uid in (0, uid) and (not bits & others or bool(bits & 0o1000))

    def is_writable(self, uid: int, groups: Collection[int]) -> bool:
        """Whether a user in these groups may put something there."""
        bits = int(self.mode, 8)
        if self.uid == uid or uid == 0:
            return bool(bits & 0o200)
        return bool(bits & (0o020 if self.gid in groups else 0o002))


@dataclass(frozen=True)
class Identity:
    """One Mac, and its user who logs in by SSH.

    Sizes are in bytes. `sudo` is None when nobody asked, since nothing needs it; `disk_free` is
    that of the volume which holds, or will hold, the stack. `wired_limit` is what the GPU may wire
    by iogpu.wired_limit_mb, 0 when that is macOS's to choose; `gpu_memory` is what it may by the
    installed llama-server's account. Both are None when nobody could tell. `server_fault` is what
    that says instead of its devices when it cannot run. `folders` are those of the stack, as far as
    they are there, and all above them; `sleep` is after how many minutes without a user it sleeps,
    0 for never; `places` is where these lead by links, there or not.
    """

    uid: int
    user: str
    home: str
    system: str
    arch: str
    macos: tuple[int, ...]
    chip: str
    memory: int
    command_line_tools: bool
    console: bool
    brew: bool
    sudo: bool | None
    writable: bool
    disk_free: int
    wired_limit: int | None = None
    gpu_memory: int | None = None
    server_fault: str | None = None
    sleep: int = 0
    folders: tuple[Folder, ...] = ()
    places: tuple[Place, ...] = ()
