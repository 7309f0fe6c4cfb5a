"""What kind of Mac it is: the answer of scripts/mac.sh.

The values in it are from documentation (sw_vers, sysctl, df of macOS 26 on Apple Silicon).
"""

import pytest
from pyinfra.api import FactProcessError

from herd.core.mac import Identity
from herd.facts.mac import Mac, parse

GOOD = [
    "uid\t501",
    "user\tme",
    "home\t/Users/me",
    "system\tDarwin",
    "arch\tarm64",
    "macos\t26.1",
    "chip\tApple M4 Max",
    "memory\t68719476736",
    "tools\tyes",
    "console\tyes",
    "brew\tyes",
    "writable\tyes",
    "disk\t/dev/disk3s5   971350180 612345678 359004502    64%    /System/Volumes/Data",
]


def without(*keys: str) -> list[str]:
    return [line for line in GOOD if line.partition("\t")[0] not in keys]


def test_a_mac_with_everything() -> None:
    assert parse(GOOD) == Identity(
        uid=501,
        user="me",
        home="/Users/me",
        system="Darwin",
        arch="arm64",
        macos=(26, 1),
        chip="Apple M4 Max",
        memory=68719476736,
        command_line_tools=True,
        console=True,
        brew=True,
        sudo=None,
        writable=True,
        disk_free=359004502 * 1024,
    )


def test_a_bare_mac_of_which_nobody_is_at_the_console() -> None:
    found = parse(without("tools", "console", "brew", "writable"))

    assert not found.command_line_tools
    assert not found.console
    assert not found.brew
    assert not found.writable
    assert found.sudo is False


def test_sudo_counts_only_where_homebrew_is_missing() -> None:
    assert parse([*without("brew"), "sudo\tyes"]).sudo is True
    assert parse([*GOOD, "sudo\tyes"]).sudo is None


def test_what_is_no_mac_is_told_by_its_system() -> None:
    """Linux has neither sw_vers nor these sysctls: the script leaves their values empty."""
    found = parse(
        [
            *without("system", "macos", "chip", "memory"),
            "system\tLinux",
            "macos\t",
            "memory\t",
            "chip\t",
        ]
    )

    assert (found.system, found.macos, found.memory, found.chip) == ("Linux", (), 0, "")


@pytest.mark.parametrize(
    "line",
    [
        "/dev/disk3s5   971350180 612345678 1024    64%    /System/Volumes/Data",
        "map auto home 10 0 1024 0% /System/Volumes/Data/home",
        "//me@server/My Share 999 998 1024 100% /Volumes/My Share 100%",
    ],
)
def test_free_space_is_found_beside_names_with_spaces(line: str) -> None:
    assert parse([*without("disk"), f"disk\t{line}"]).disk_free == 1024 * 1024


def test_free_space_that_cannot_be_read_is_none_at_all() -> None:
    assert parse([*without("disk"), "disk\t"]).disk_free == 0


def test_a_home_loses_its_slash_at_the_end() -> None:
    assert parse([*without("home"), "home\t/Users/me/"]).home == "/Users/me"


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["Last login: yesterday"],
        without("uid"),
        without("disk"),
        [*without("uid"), "uid\tme"],
        [*without("memory"), "memory\ta lot"],
    ],
)
def test_garbage_fails_this_host_only(lines: list[str]) -> None:
    with pytest.raises(FactProcessError, match="did not say what it is"):
        parse(lines)


def test_lines_of_a_login_greeting_do_not_matter() -> None:
    assert parse(["Welcome!", *GOOD, ""]) == parse(GOOD)


def test_the_question_quotes_its_paths() -> None:
    command = Mac().command(root="~/it's", homebrew_prefix="/opt/my brew").get_raw_value()

    assert command.endswith("""mac '~/it'"'"'s' '/opt/my brew'""")
