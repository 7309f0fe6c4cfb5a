"""state.sh: what is at paths, asked with the tools of macOS."""

import hashlib
from pathlib import Path

import pytest

from herd.facts.files import Entry, parse
from tests.core.samples import HOSTILE
from tests.scripts.conftest import Machine

NAMES = [value.replace("/", "") for value in HOSTILE]


@pytest.fixture
def machine(one_machine: Machine) -> Machine:
    """One shell will do."""
    return one_machine


def state(machine: Machine, *paths: Path) -> list[Entry]:
    done = machine.run("state", *paths)
    assert (done.returncode, done.stderr) == (0, "")
    return parse(done.stdout.splitlines())


def test_each_kind_of_entry_is_told_in_order(machine: Machine) -> None:
    file, directory, link, broken = (machine.home / name for name in ("f", "d", "l", "b"))
    file.write_bytes(b"content")
    file.chmod(0o600)
    directory.mkdir(mode=0o755)
    link.symlink_to(file)
    broken.symlink_to("nowhere")

    assert state(machine, directory, file, link, broken, machine.home / "none") == [
        Entry("directory", "755"),
        Entry("file", "600", hashlib.sha256(b"content").hexdigest()),
        Entry("link"),
        Entry("link"),
        Entry("absent"),
    ]


def test_hostile_paths_are_told_apart(machine: Machine) -> None:
    for number, name in enumerate(NAMES):
        (machine.home / name).write_text(str(number))
    found = state(machine, *(machine.home / name for name in NAMES))

    digests = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(len(NAMES))]
    assert [entry.sha256 for entry in found] == digests
