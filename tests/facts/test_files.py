"""What is at paths."""

import subprocess
from pathlib import Path

import pytest
from pyinfra.api import FactProcessError

from herd.facts.files import Entry, Modes, State, parse

SHA = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_each_kind_of_entry_is_read_in_order() -> None:
    """shasum reads from stdin, so it prints "-" for a name."""
    assert parse([f"file 600 {SHA}  -", "absent", "directory 755", "link"]) == [
        Entry("file", "600", SHA),
        Entry("absent"),
        Entry("directory", "755"),
        Entry("link"),
    ]


def test_a_file_that_may_not_be_read_has_no_digest() -> None:
    assert parse(["file 000 "]) == [Entry("file", "000")]


@pytest.mark.parametrize("line", ["stat: illegal option -- c", "", "socket 644", "FILE"])
def test_garbage_fails_this_host_only(line: str) -> None:
    with pytest.raises(FactProcessError, match="not the state of a path"):
        parse([line])


def test_the_question_quotes_each_path() -> None:
    command = State().command(["/a b", "/it's"]).get_raw_value()

    assert command.endswith("""state '/a b' '/it'"'"'s'""")


def test_modes_are_those_of_each_path_and_empty_for_what_is_absent(tmp_path: Path) -> None:
    """By BSD's stat, of which a sketch stands in."""
    stat = tmp_path / "stat"
    stat.write_text('#!/bin/sh\n[ "$1 $2" = "-f %Lp" ] && exec /usr/bin/stat -c %a "$3"\n')
    stat.chmod(0o755)
    (tmp_path / "sw_vers").symlink_to(stat)  # by which macOS is known
    own = tmp_path / "it's mine"
    own.touch()
    own.chmod(0o640)
    asked = Modes()

    command = asked.command([str(tmp_path / "absent"), str(own)]).get_raw_value()
    path = f"{tmp_path}:/usr/bin:/bin"
    done = subprocess.run(["sh", "-c", command], env={"PATH": path}, capture_output=True, text=True)

    assert asked.process(done.stdout.splitlines()) == ["", "640"]
