"""drain.sh and undrain.sh, with a program that notes how it was called in place of the proxy's."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scripts.conftest import Machine

REASON = "We change something"


@pytest.fixture
def listening(machine: Machine, tmp_path: Path) -> Iterator[Path]:
    """The word's file, beside which a proxy listens."""
    file = tmp_path / "availability.json"
    with socket.socket(socket.AF_UNIX) as control:
        control.bind(str(file.with_suffix(".sock")))
        yield file


def drain(machine: Machine, file: Path) -> list[str]:
    """What the proxy was told."""
    python = machine.program("python", f'echo "$PYTHONPATH: $*" >>{machine.home}/told')
    done = machine.run("drain", file, 60, REASON, "/r", python)
    assert done.returncode == 0, done.stderr
    return _told(machine)


def undrain(machine: Machine, file: Path) -> list[str]:
    python = machine.program("python", f'echo "$PYTHONPATH: $*" >>{machine.home}/told')
    assert machine.run("undrain", file, REASON, 15, "/r", python).returncode == 0
    return _told(machine)


def _told(machine: Machine) -> list[str]:
    told = machine.home / "told"
    return told.read_text().splitlines() if told.exists() else []


def test_a_proxy_that_listens_is_drained_and_takes_requests_again(
    machine: Machine, listening: Path
) -> None:
    drained = f"/r: -m proxy drain --availability {listening} --reason {REASON} --wait 60"
    assert drain(machine, listening) == [drained]
    listening.write_text(f'{{"state": "drain", "reason": "{REASON}"}}')
    assert drain(machine, listening) == [drained, drained]
    assert undrain(machine, listening)[2:] == [f"/r: -m proxy ready --availability {listening}"]


def test_what_its_owner_said_stays(machine: Machine, listening: Path) -> None:
    listening.write_text('{"state": "maint", "reason": "a new disk"}')

    assert drain(machine, listening) == undrain(machine, listening) == []


def test_where_no_proxy_listens_there_is_nothing_to_say(machine: Machine, tmp_path: Path) -> None:
    assert drain(machine, tmp_path / "availability.json") == []
    assert undrain(machine, tmp_path / "availability.json") == []


def test_what_is_still_open_is_told_and_no_failure(machine: Machine, listening: Path) -> None:
    python = machine.program("python", "exit 1")
    done = machine.run("drain", listening, 5, REASON, "/r", python)

    assert (done.returncode, done.stdout) == (0, "What is still open after 5 s is cut off.\n")
