"""proxy-release.sh and proxy-state.sh, with the real archive of the proxy."""

import subprocess
import sys
from pathlib import Path

import pytest

from herd.core.mac.archives import bundle
from herd.facts.proxy import Releases
from tests.core.samples import HOSTILE_NAMES, ROOT
from tests.scripts.conftest import Machine


@pytest.fixture
def directory(machine: Machine) -> Path:
    path = machine.home / 'it\'s my "proxy" ü\\n'
    path.mkdir()
    return path


def unpack(machine: Machine, release: Path) -> subprocess.CompletedProcess[str]:
    archive = Path(f"{release}.tar.gz")
    archive.write_bytes(bundle().archive)
    return machine.run("proxy-release", archive, release)


def test_a_release_is_the_proxys_code_and_can_be_run(machine: Machine, directory: Path) -> None:
    release = directory / "release-0123"
    done = unpack(machine, release)

    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in directory.iterdir()] == ["release-0123"]
    ours = {p.relative_to(ROOT) for p in (ROOT / "proxy").rglob("*.py")}
    assert {p.relative_to(release) for p in release.rglob("*.py")} == ours
    helped = subprocess.run(
        [sys.executable, "-m", "proxy", "serve", "--help"],
        env={"PYTHONPATH": str(release), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=directory,
        capture_output=True,
        text=True,
    )
    assert helped.returncode == 0, helped.stderr


def test_a_half_made_release_is_made_anew(machine: Machine, directory: Path) -> None:
    release = directory / "release-0123"
    (directory / "release-0123.new" / "old").mkdir(parents=True)
    (release / "old").mkdir(parents=True)
    assert unpack(machine, release).returncode == 0

    assert [path.name for path in release.iterdir()] == ["proxy"]
    assert [path.name for path in directory.iterdir()] == ["release-0123"]


def test_a_broken_archive_leaves_no_release(machine: Machine, directory: Path) -> None:
    archive = directory / "release-0123.tar.gz"
    archive.write_bytes(bundle().archive[:200])
    done = machine.run("proxy-release", archive, directory / "release-0123")

    assert done.returncode != 0
    assert not (directory / "release-0123").exists()


# -- What is there


def state(machine: Machine, directory: Path) -> tuple[set[str], set[str]]:
    done = machine.run("proxy-state", directory)
    assert (done.returncode, done.stderr) == (0, "")
    fact = Releases()
    fact.command(str(directory))
    found = fact.process(done.stdout.splitlines())
    return {Path(p).name for p in found.whole}, {Path(p).name for p in found.junk}


def environment(directory: Path, name: str, *, python: str | None, complete: bool) -> None:
    bin = directory / name / "bin"
    bin.mkdir(parents=True)
    if python:
        (bin / "python").symlink_to(python)
    if complete:
        (directory / name / ".complete").touch()


def test_whole_ones_and_junk_are_told_apart(machine: Machine, directory: Path) -> None:
    (directory / "release-whole" / "proxy").mkdir(parents=True)
    (directory / "release-empty").mkdir()
    (directory / "release-half.new" / "proxy").mkdir(parents=True)
    (directory / "release-x.tar.gz").touch()
    (directory / "release-x.tar.gz.new").touch()
    environment(directory, "env-3.13-whole", python="/bin/sh", complete=True)
    environment(directory, "env-3.13-unfinished", python="/bin/sh", complete=False)
    # An upgrade of Homebrew's Python took it away.
    environment(directory, "env-3.12-dangling", python="/nowhere/python3.12", complete=True)
    (directory / "requirements.lock").touch()

    assert state(machine, directory) == (
        {"release-whole", "env-3.13-whole"},
        {
            *("release-empty", "release-half.new", "release-x.tar.gz", "release-x.tar.gz.new"),
            *("env-3.13-unfinished", "env-3.12-dangling"),
        },
    )


def test_without_a_directory_or_in_an_empty_one_nothing_is_there(
    machine: Machine, directory: Path
) -> None:
    assert state(machine, directory) == (set(), set())
    assert state(machine, machine.home / "none") == (set(), set())


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_directory_is_no_hindrance(one_machine: Machine, name: str) -> None:
    directory = one_machine.home / f"a{name}"
    directory.mkdir()
    assert unpack(one_machine, directory / "release-1").returncode == 0

    assert state(one_machine, directory) == ({"release-1"}, set())
