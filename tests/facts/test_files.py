"""What is at paths, and how large files are."""

import pytest
from pyinfra.api import FactProcessError

from herd.facts.files import Entry, Sizes, State, parse

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


# -- Sizes


def sizes(directory: str, *lines: str) -> dict[str, int]:
    fact = Sizes()
    fact.command(directory)
    return dict(fact.process(list(lines)))


def test_sizes_are_by_path_below_the_directory_with_either_wc() -> None:
    """wc of macOS pads its numbers (from documentation: wc(1)), that of Linux does not."""
    assert sizes(
        "/Users/me/models",
        "12582912 /Users/me/models/m/m-00001-of-00002.gguf",
        " 5242880 /Users/me/models/m/my model.gguf",
        "       7 /Users/me/models/m/.cache/x",
        "17825799 total",
    ) == {"m/m-00001-of-00002.gguf": 12582912, "m/my model.gguf": 5242880, "m/.cache/x": 7}


def test_a_file_named_total_is_not_the_total() -> None:
    assert sizes("/m", " 5 /m/total", " 5 total") == {"total": 5}


def test_a_directory_that_is_absent_has_no_files() -> None:
    assert Sizes.default() == {}


def test_garbage_among_sizes_fails_this_host_only() -> None:
    with pytest.raises(FactProcessError, match="not the size of a file"):
        sizes("/m", "wc: /m/x: Permission denied", "many /m/x")
