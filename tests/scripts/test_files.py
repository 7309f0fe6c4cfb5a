"""state.sh and sizes.sh: what is at paths, asked with the tools of macOS."""

import hashlib
import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from herd.facts.files import Entry, Sizes, parse
from tests.core.samples import HOSTILE
from tests.scripts.conftest import Machine

NAMES = [value.replace("/", "") for value in HOSTILE]


@pytest.fixture
def machine(one_machine: Machine) -> Machine:
    """One shell will do."""
    return one_machine


@pytest.fixture(autouse=True)
def bsd_stat(machine: Machine) -> None:
    """Only macOS has BSD's stat; a GNU one would not understand the script, nor it -c."""
    if sys.platform != "darwin":
        machine.program(
            "stat",
            '[ "$1" = -f ] && [ "$2" = %Lp ] || { echo "stat: illegal option -- c" >&2; exit 1; }\n'
            f'exec {shutil.which("stat")} -c %a "$3"',
        )


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


# -- Sizes


def sizes(machine: Machine, directory: Path) -> dict[str, int]:
    done = machine.run("sizes", directory)
    assert (done.returncode, done.stderr) == (0, "")
    fact = Sizes()
    fact.command(str(directory))
    return dict(fact.process(done.stdout.splitlines()))


@pytest.fixture
def models(machine: Machine) -> Path:
    path = machine.home / "my models"
    path.mkdir()
    return path


def put(path: Path, size: int, age: float = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (time.time() - age, time.time() - age))


def test_without_the_directory_there_are_no_sizes(machine: Machine) -> None:
    assert sizes(machine, machine.home / "none") == {}


def test_an_empty_directory_has_no_sizes(machine: Machine, models: Path) -> None:
    assert sizes(machine, models) == {}


def test_sizes_of_all_files_below_are_told(machine: Machine, models: Path) -> None:
    put(models / "m" / "m.gguf", 1_234_567)
    put(models / "m" / "q" / "m 2.gguf", 5)
    put(models / "loose", 0)

    assert sizes(machine, models) == {"m/m.gguf": 1234567, "m/q/m 2.gguf": 5, "loose": 0}


@pytest.mark.parametrize("count", [1, 40])
def test_one_file_and_many_are_told_alike(machine: Machine, models: Path, count: int) -> None:
    """wc prints a total when it gets several files."""
    for number in range(count):
        (models / f"{'long' * 20}-{number}").write_bytes(b"x")

    assert len(sizes(machine, models)) == count


def test_hostile_names_are_told_exactly(machine: Machine, models: Path) -> None:
    names = [name for name in NAMES if name == name.strip()]
    for number, name in enumerate(names):
        put(models / "m" / name, number)

    assert sizes(machine, models) == {f"m/{name}": n for n, name in enumerate(names)}


def test_links_to_files_and_directories_are_followed(machine: Machine, models: Path) -> None:
    """As people do who keep models on another disk."""
    put(machine.home / "disk" / "m.gguf", 7)
    (models / "m").symlink_to(machine.home / "disk")
    (models / "alone.gguf").symlink_to(machine.home / "disk" / "m.gguf")

    assert sizes(machine, models) == {"m/m.gguf": 7, "alone.gguf": 7}


def test_a_models_directory_that_is_a_link_is_followed(machine: Machine) -> None:
    put(machine.home / "disk" / "m.gguf", 7)
    (machine.home / "linked").symlink_to(machine.home / "disk")

    assert sizes(machine, machine.home / "linked") == {"m.gguf": 7}


def test_a_link_that_leads_nowhere_is_no_file(machine: Machine, models: Path) -> None:
    put(models / "m.gguf", 7)
    (models / "gone.gguf").symlink_to("/nowhere/at/all")

    assert sizes(machine, models) == {"m.gguf": 7}


def test_a_link_that_leads_in_a_circle_does_not_end_the_run(machine: Machine, models: Path) -> None:
    put(models / "m.gguf", 7)
    (models / "again").symlink_to(models)
    done = machine.run("sizes", models)

    assert done.returncode == 0
    assert "7 " in done.stdout


def test_a_dead_transfer_of_hf_is_told_and_one_under_way_is_not(
    machine: Machine, models: Path
) -> None:
    download = models / "m" / ".cache" / "huggingface" / "download"
    put(download / "old.incomplete", 5, age=11 * 60)
    put(download / "fresh.incomplete", 5, age=9 * 60)
    put(download / "m.gguf.metadata", 5)

    assert sizes(machine, models).keys() == {
        "m/.cache/huggingface/download/old.incomplete",
        "m/.cache/huggingface/download/m.gguf.metadata",
    }


def test_files_that_were_just_written_count_unless_they_are_unfinished(
    machine: Machine, models: Path
) -> None:
    put(models / "m.gguf", 5)
    put(models / "m.gguf.0123.part", 5)

    assert len(sizes(machine, models)) == 2
