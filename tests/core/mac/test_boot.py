"""What serves after a restart, and when: each kind of job, FileVault, automatic login."""

import pytest

from herd.core.mac.boot import Boot, after_restart, late_volumes
from herd.core.mac.volumes import Place

ON, OFF, UNKNOWN = Boot(filevault=True), Boot(filevault=False), Boot()
MINE, ANOTHERS = Boot(automatic_login="me"), Boot(automatic_login="anna")
UNLOCKED = "serves once FileVault's disk is unlocked"
WAYS = " (by SSH with a password, or at its screen)"


@pytest.mark.parametrize(
    ("boot", "daemon", "macos", "words"),
    [
        (OFF, True, (27, 0), "serves by itself, with nobody logged in"),
        (UNKNOWN, True, (15, 7), "serves by itself, with nobody logged in"),
        (ON, True, (27, 0), f"{UNLOCKED}{WAYS}"),
        (ON, True, (26, 1), f"{UNLOCKED}{WAYS}"),
        (ON, True, (15, 7, 1), f"{UNLOCKED} at its screen"),
        (ON, False, (26, 1), f"{UNLOCKED}{WAYS}, and me logs in at its screen"),
        (ON, False, (15, 7), f"{UNLOCKED}, and me logs in at its screen"),
        (OFF, False, (26, 1), "serves once me logs in at its screen"),
        (ANOTHERS, False, (26, 1), "serves once me logs in at its screen"),
        (MINE, False, (26, 1), "serves by itself, as me is logged in automatically"),
        (MINE, True, (26, 1), "serves by itself, with nobody logged in"),
    ],
)
def test_when_a_stack_serves_again(
    boot: Boot, daemon: bool, macos: tuple[int, ...], words: str
) -> None:
    assert after_restart(boot, daemon=daemon, user="me", macos=macos) == words


def test_only_removable_volumes_come_late() -> None:
    own = Place("stack_root", "/Users/me/llama-swap", "/System/Volumes/Data", "apfs")
    stick = Place("models", "/Volumes/Stick/models", "/Volumes/Stick", "apfs")

    assert list(late_volumes(OFF, [own])) == []
    (found,) = late_volumes(OFF, [own, stick])
    assert found.where == "directory /Volumes/Stick/models"
    assert list(late_volumes(Boot(volumes_without_login=True), [own, stick])) == []
