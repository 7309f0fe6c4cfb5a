"""new-secret.sh: random digits in a file for its owner only, which appears whole."""

import re
from pathlib import Path

import pytest

from tests.scripts.conftest import Machine


def make(machine: Machine, path: Path) -> str:
    done = machine.run("new-secret", path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert path.stat().st_mode & 0o7777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    return path.read_text()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "it's here").mkdir()
    return tmp_path / "it's here" / "a key"


def test_each_is_another(machine: Machine, path: Path) -> None:
    first, second = make(machine, path), make(machine, path)

    assert re.fullmatch(r"[0-9a-f]{64}", first)
    assert first != second


def test_what_was_there_is_replaced_and_no_link_followed(machine: Machine, path: Path) -> None:
    """Neither by the name itself, nor by that of the file on its way."""
    other = path.parent.parent / "other"
    other.write_text("mine")
    path.symlink_to(other)
    Path(f"{path}.new").symlink_to(other)
    make(machine, path)

    assert not path.is_symlink()
    assert other.read_text() == "mine"


def test_a_directory_in_its_place_is_an_error(machine: Machine, path: Path) -> None:
    path.mkdir()
    done = machine.run("new-secret", path)

    assert done.returncode == 1
    assert path.is_dir()
    assert not list(path.iterdir())


def test_no_randomness_is_no_secret(machine: Machine, path: Path) -> None:
    machine.program("head", "exit 1")
    done = machine.run("new-secret", path)

    assert done.returncode == 1
    assert not path.exists()
