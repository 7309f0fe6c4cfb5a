"""What a Mac says of its start; texts of fdesetup(8) and defaults(1), from documentation."""

import pytest

from herd.core.mac.boot import Boot
from herd.facts.boot import AtStart


def process(filevault: str, login: str = "", volumes: str = "") -> Boot:
    return AtStart().process([f"filevault\t{filevault}", f"login\t{login}", f"volumes\t{volumes}"])


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("FileVault is On.", True),
        ("FileVault is Off.", False),
        ("", None),
        ("FileVault is Off, but needs a restart to finish.", None),
    ],
)
def test_filevault_is_on_off_or_unknown(said: str, found: bool | None) -> None:
    assert process(said).filevault is found


def test_whom_it_logs_in_does_not_count_behind_filevault() -> None:
    assert process("FileVault is Off.", "me").automatic_login == "me"
    assert process("FileVault is On.", "me").automatic_login == ""


@pytest.mark.parametrize(("said", "found"), [("1", True), ("0", False), ("", False)])
def test_volumes_before_a_login(said: str, found: bool) -> None:
    assert process("", volumes=said).volumes_without_login is found
