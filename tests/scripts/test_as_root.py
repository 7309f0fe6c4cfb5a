"""What only root may do, by sudo without a password: its own words come back, sudo's with ours."""

import subprocess

import pytest

from herd.core import scripts
from tests.scripts.conftest import Done, Machine

SAID = [
    "sudo: a password is required",
    "Sorry, user me is not allowed to execute '/bin/launchctl x' as root on mac1.",
    "me is not in the sudoers file.",
    "Sorry, user me may not run sudo on mac1.",
]


def as_root(machine: Machine, sudo: str, *words: str) -> Done:
    machine.program("sudo", sudo)
    return subprocess.run(
        [*machine.shell, "-c", scripts.text("as-root") + '\nas_root "$@"', "sh", *words],
        capture_output=True,
        text=True,
        env=machine.environment,
    )


def test_it_runs_as_it_is_said(machine: Machine) -> None:
    done = as_root(machine, 'printf "%s|" "$@"', "/bin/launchctl", "print", "it's $HOME *")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "-n|/bin/launchctl|print|it's $HOME *|\n"


@pytest.mark.parametrize("said", SAID)
def test_where_nobody_lets_it_the_way_is_named(machine: Machine, said: str) -> None:
    done = as_root(machine, f'echo "{said}" >&2; exit 1', "/bin/launchctl", "bootout", "system/x")

    assert (done.returncode, done.stdout) == (1, "")
    assert "Only root may run `/bin/launchctl bootout system/x`" in done.stderr
    assert "`make sudoers` prints the rule" in done.stderr
    assert done.stderr.endswith(f"{said}\n")
    assert said not in done.stderr.splitlines()  # at which pyinfra would ask for a password


def test_two_lines_of_sudo_are_one(machine: Machine) -> None:
    said = ("sudo: a terminal is required to read it", "sudo: a password is required")
    done = as_root(machine, f'printf "%s\\n" "{said[0]}" "{said[1]}" >&2; exit 1', "/bin/x")

    assert done.stderr.endswith(f"sudo says: {' '.join(said)}\n")
    assert len(done.stderr.splitlines()) == 1


def test_one_that_wants_a_terminal_is_told_how_to_do_without(machine: Machine) -> None:
    said = "sudo: sorry, you must have a tty to run sudo"
    done = as_root(machine, f'echo "{said}" >&2; exit 1', "/bin/launchctl", "bootout", "system/x")

    assert "Only root may run `/bin/launchctl bootout system/x`" in done.stderr
    assert " !requiretty` into the file of `make sudoers`" in done.stderr
    assert done.stderr.endswith(f"{said}\n")


def test_what_the_command_itself_says_is_all(machine: Machine) -> None:
    words = "Boot-out failed: 3: No such process"
    done = as_root(machine, f'echo "{words}" >&2; exit 3', "/bin/launchctl", "bootout", "system/x")

    assert (done.returncode, done.stdout, done.stderr) == (3, "", f"{words}\n")
