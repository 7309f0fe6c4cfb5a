"""models.sh: what is below the directory of all models, and the room beside it."""

import os
import shutil
import time
from pathlib import Path

import pytest

from herd.core.models.missing_files import Holdings, Receipt, Stat
from herd.facts.models import parse
from tests.core.samples import HOSTILE
from tests.scripts.conftest import Machine

NAMES = [value.replace("/", "") for value in HOSTILE]
SUM = "a" * 64


@pytest.fixture
def machine(one_machine: Machine) -> Machine:
    """One shell will do."""
    return one_machine


def holdings(machine: Machine, directory: Path) -> Holdings:
    done = machine.run("models", directory)
    assert (done.returncode, done.stderr) == (0, "")
    return parse(done.stdout.splitlines())


def sizes(machine: Machine, directory: Path) -> dict[str, int]:
    return {path: stat.size for path, stat in holdings(machine, directory).files.items()}


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
    """stat gets several files at once."""
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
    done = machine.run("models", models)

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


def test_free_disk_is_that_of_the_directory_or_of_where_it_will_be(
    machine: Machine, models: Path
) -> None:
    free = shutil.disk_usage(models).free

    for directory in (models, models / "not" / "yet"):
        told = holdings(machine, directory).free
        assert told is not None
        assert abs(told - free) < 1 << 30


def vouch(models: Path, path: str, *, origin: str = "fetched") -> Stat:
    """A receipt as the fetcher writes it."""
    top, _, below = path.partition("/")
    stat = (models / path).stat()
    mtime = f"{stat.st_mtime_ns // 10**9}.{stat.st_mtime_ns % 10**9:09}"
    receipt = models / top / ".herd" / f"{below}.receipt"
    receipt.parent.mkdir(parents=True, exist_ok=True)
    receipt.write_text(f"{SUM} {stat.st_size} {mtime} {stat.st_ino} {origin}\n")
    return Stat(stat.st_size, mtime, str(stat.st_ino))


@pytest.mark.parametrize("name", ["m.gguf", "q/m: 1.gguf", *NAMES[:12]])
def test_a_receipt_is_told_with_its_file(machine: Machine, models: Path, name: str) -> None:
    if name != name.strip():
        pytest.skip("lines come without the spaces around them")
    put(models / "tiny" / name, 5)
    stat = vouch(models, f"tiny/{name}")
    found = holdings(machine, models)

    assert found.receipts == {f"tiny/{name}": Receipt(SUM, stat, "fetched")}
    assert found.verified(f"tiny/{name}")
    assert found.files == {f"tiny/{name}": stat}


def test_receipts_behind_a_link_are_told(machine: Machine, models: Path) -> None:
    put(machine.home / "disk" / "m.gguf", 7)
    (models / "m").symlink_to(machine.home / "disk")
    vouch(models, "m/m.gguf")

    assert holdings(machine, models).verified("m/m.gguf")


@pytest.mark.parametrize("text", ["", "\n", f"{SUM} 5", "garbage\nmore\n"])
def test_a_receipt_that_is_not_whole_vouches_for_nothing(
    machine: Machine, models: Path, text: str
) -> None:
    put(models / "m" / "m.gguf", 5)
    vouch(models, "m/m.gguf")
    (models / "m/.herd/m.gguf.receipt").write_text(text)

    assert holdings(machine, models).receipts == {}


def test_a_copied_directory_is_not_vouched_for(machine: Machine, models: Path) -> None:
    """Not even with its times."""
    put(models / "m" / "m.gguf", 5)
    vouch(models, "m/m.gguf")
    shutil.copytree(models / "m", models / "copy")
    found = holdings(machine, models)

    assert found.verified("m/m.gguf")
    assert not found.verified("copy/m.gguf")


@pytest.mark.parametrize("change", ["content", "time", "size", "another file"])
def test_a_changed_file_is_not_vouched_for(machine: Machine, models: Path, change: str) -> None:
    file = models / "m" / "m.gguf"
    put(file, 5, age=100)
    vouch(models, "m/m.gguf")
    match change:
        case "content":
            file.write_bytes(b"yyyyy")
        case "time":
            os.utime(file)
        case "size":
            put(file, 6, age=100)
        case _:
            stat = file.stat()
            (models / "m" / "new").write_bytes(b"yyyyy")
            os.utime(models / "m" / "new", ns=(stat.st_atime_ns, stat.st_mtime_ns))
            (models / "m" / "new").rename(file)

    assert not holdings(machine, models).verified("m/m.gguf")


def test_a_renamed_directory_keeps_its_receipts(machine: Machine, models: Path) -> None:
    put(models / "m" / "m.gguf", 5)
    vouch(models, "m/m.gguf")
    models.rename(machine.home / "elsewhere")

    assert holdings(machine, machine.home / "elsewhere").verified("m/m.gguf")
