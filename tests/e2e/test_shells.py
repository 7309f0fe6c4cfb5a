"""Macs as their users' shells leave them: startup files that print, other tools first in PATH."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.fleet import SENTENCE, Fleet, plain
from tests.e2e.test_infra import verify

# Whatever else such a file does, commands are as on any Mac.
HOSTILE = """
echo 'echo noise' >"$HOME/own"
export BASH_ENV="$HOME/own" ENV="$HOME/own" GREP_OPTIONS=--color=always CDPATH=/ TMPDIR=/nowhere
export LC_ALL=de_DE.UTF-8 POSIXLY_CORRECT=1 PYTHONHOME=/nowhere PATH="$HOME/bin"
alias sh='echo no'
umask 0777
"""
STARTUP = {
    "zsh": (".zshenv", "/bin/zsh", "echo 'Welcome to Warp'"),
    "bash": (".bashrc", "/bin/bash", "printf 'no newline'"),
    "sshd": (".ssh/rc", "/bin/zsh", "uptime"),
}


@pytest.mark.soak
def test_what_a_startup_file_prints_is_one_problem_that_names_the_file(
    make_fleet: Callable[..., Fleet],
) -> None:
    """In every verb; and the other Mac is done."""
    fleet = make_fleet("mac1", "mac2")
    mac = fleet["mac1"]
    before = sorted(mac.home.rglob("*"))
    (fleet["mac2"].home / ".zshenv").write_text(HOSTILE)
    for name in ("bash", "sshd"):
        file, shell, command = STARTUP[name]
        mac.set(shell=shell)
        path = mac.home / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{command}\n")
        status = fleet.herd("status")
        assert status.code == 1
        assert f"~/{file} prints " in status.err
        assert "mac2  http" in status.out
        path.unlink()
    file, shell, command = STARTUP["zsh"]
    (mac.home / file).write_text(f"{command}\n")
    mac.set(shell=shell)
    words = '~/.zshenv prints "Welcome to Warp"'

    dry = fleet.pyinfra("--dry", str(fleet.lab.inventory), "deploy.py")
    deploy = fleet.deploy("--limit", "mac1")
    for run in (dry, deploy):
        assert run.code == 1
        assert words in plain(run.err), run.err
        assert "Traceback" not in run.err
        assert "1 problem." in plain(run.err)
    assert words in verify(fleet, "--limit", "mac1").told["reached_by_ssh"]
    (mac.home / file).write_text("echo 'not available'; exit 1\n")
    silent = fleet.herd("status", "--limit", "mac1")
    assert silent.code == 1
    words = 'mac1 says nothing to what it is asked, but "not available" as where a startup file'
    assert words in silent.err
    assert "could not load fact" not in silent.err
    (mac.home / file).unlink()
    (mac.home / ".ssh").rmdir()
    assert sorted(mac.home.rglob("*")) == before


@pytest.mark.soak
def test_gnus_tools_before_macos_own_change_nothing(make_fleet: Callable[..., Fleet]) -> None:
    fleet = make_fleet("mac1")
    # This workstation's own are GNU's, or something like it.
    (fleet["mac1"].home / ".zshenv").write_text('export PATH="/usr/bin:/bin:$PATH"\n')

    fleet.settles()

    assert verify(fleet).failed() == set()


@pytest.mark.soak
def test_a_startup_file_that_waits_is_named_and_the_others_go_on(
    make_fleet: Callable[..., Fleet],
) -> None:
    fleet = make_fleet("mac1", "mac2")
    (fleet["mac1"].home / ".zshenv").write_text("sleep 1000\n")

    run = fleet.herd("status")

    assert run.code == 1
    assert "[mac1] It does not come to what it is asked: a startup file" in plain(run.err)
    assert "Traceback" not in run.err
    assert "mac2  http" in run.out


@pytest.mark.soak
@pytest.mark.parametrize("shell", ["/opt/homebrew/bin/fish", "/bin/tcsh"])
def test_a_login_shell_that_reads_otherwise_than_sh(
    make_fleet: Callable[..., Fleet], shell: str
) -> None:
    if not shutil.which(Path(shell).name):
        pytest.skip(f"there is no {Path(shell).name} here")
    fleet = make_fleet("mac1")
    fleet["mac1"].set(shell=shell)

    fleet.settles()

    assert fleet.says() == SENTENCE
    assert fleet.herd("status").code == 0


@pytest.mark.soak
def test_a_mac_that_goes_dark_is_named_and_the_others_go_on(
    make_fleet: Callable[..., Fleet],
) -> None:
    fleet = make_fleet("mac1", "mac2")
    fleet["mac1"].set(brew_hang=["uv"])
    run = fleet.begin()
    run.await_line("[mac1] ==> Fetching uv")

    fleet["mac1"].darken()

    assert run.wait() == 1
    assert "[mac1] It gives no sign of life for " in run.out
    assert "Traceback" not in run.out
    assert fleet.says("mac2")
