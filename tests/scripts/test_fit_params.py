"""Which program tells what models take of memory, and what it told before."""

from pathlib import Path

from herd.facts.fit_params import FitParams, Fits
from tests.scripts.conftest import Machine

MARK = "0123456789abcdef"


def told(machine: Machine, programs: Path, notes: Path) -> Fits:
    done = machine.run("fit-params", programs, notes)
    assert (done.returncode, done.stderr) == (0, "")
    return FitParams().process(done.stdout.splitlines())


def test_it_is_a_program_of_its_own_or_one_for_all(one_machine: Machine) -> None:
    machine = one_machine
    binaries, notes = machine.home / "my brew/bin", machine.home / "fit notes"

    assert told(machine, binaries, notes) == Fits()

    machine.program(str(binaries / "llama"), "exit 1")
    assert told(machine, binaries, notes) == Fits()  # one that knows no such command

    machine.program(str(binaries / "llama"), '[ "$1" = fit-params ]')
    assert told(machine, binaries, notes).program == (str(binaries / "llama"), "fit-params")

    machine.program(str(binaries / "llama-fit-params"), "exit 1")
    assert told(machine, binaries, notes).program == (str(binaries / "llama-fit-params"),)


def test_notes_are_told_line_by_line_and_nothing_else(one_machine: Machine) -> None:
    notes = one_machine.home / "fit notes"
    notes.mkdir()
    (notes / MARK).write_text("MTL0 1 2 3\nHost 0 0 4\n")
    (notes / f"{MARK}.new").write_text("MTL0 1 2")
    (notes / "other").write_text("x\n")

    assert told(one_machine, notes, notes).notes == {MARK: "MTL0 1 2 3\nHost 0 0 4\n"}
