"""A Mac as preflight wants to know it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """One Mac, and its user who logs in by SSH.

    Sizes are in bytes. `sudo` is None when nobody asked, since nothing needs it; `disk_free` is
    that of the volume which holds, or will hold, the stack. `wired_limit` is what the GPU may wire
    by iogpu.wired_limit_mb, 0 when that is macOS's to choose; `gpu_memory` is what it may by the
    installed llama-server's account. Both are None when nobody could tell.
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
