"""What becomes of a stack when its Mac starts anew, as after a power cut, with nobody there."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from herd.core.mac.volumes import Place, removable
from herd.core.settings.problems import Problem

SSH_UNLOCKS = (26,)
"""From this macOS on a disk can be unlocked by SSH (apple_ssh_and_filevault(7))."""
_AUTODISKMOUNT = (
    "sudo defaults write /Library/Preferences/SystemConfiguration/autodiskmount "
    "AutomountDisksWithoutUserLogin -bool true"
)


@dataclass(frozen=True)
class Boot:
    """Whether FileVault is on (None: nobody could tell), whom the Mac logs in by itself ("" is
    nobody), whether it mounts removable volumes with nobody logged in."""

    filevault: bool | None = None
    automatic_login: str = ""
    volumes_without_login: bool = False


def after_restart(boot: Boot, *, daemon: bool, user: str, macos: tuple[int, ...]) -> str:
    """When the stack serves again, for a person."""
    if boot.filevault:
        how = " (by SSH with a password, or at its screen)" if macos >= SSH_UNLOCKS else ""
        if daemon:
            return f"serves once FileVault's disk is unlocked{how or ' at its screen'}"
        return f"serves once FileVault's disk is unlocked{how}, and {user} logs in at its screen"
    if daemon:
        return "serves by itself, with nobody logged in"
    if boot.automatic_login == user:
        return f"serves by itself, as {user} is logged in automatically"
    return f"serves once {user} logs in at its screen"


def without_session(boot: Boot, user: str) -> Problem:
    """Nobody is logged in where agents live."""
    ways = ["log in on the Mac's screen (or by Screen Sharing)"]
    if boot.filevault:
        ways.append("after each restart again, as FileVault rules out automatic login")
    elif boot.automatic_login != user:
        ways.append("and turn on automatic login for restarts")
    return Problem(
        "console",
        f"{user} is not logged in at the console, where LaunchAgents live.",
        f'{", ".join(ways)}; or set launchd_domain = "daemon", which needs nobody logged in, or '
        'launchd_autostart = "off".',
    )


def late_volumes(boot: Boot, places: Iterable[Place]) -> Iterator[Problem]:
    """What of a daemon's is on volumes that macOS mounts only once somebody logs in."""
    if boot.volumes_without_login:
        return
    for path in removable(places):
        yield Problem(
            f"directory {path}",
            "macOS mounts such a volume only once somebody logs in, and a daemon is there before.",
            f"run `{_AUTODISKMOUNT}` on the Mac and restart it, or use the Mac's own disk.",
            kind="mac",
        )
