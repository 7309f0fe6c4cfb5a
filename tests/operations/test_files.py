"""Files with exactly some content and mode, replaced at once or not at all."""

import hashlib
from typing import Any

import pytest

from herd.operations import files
from tests.operations.harness import Run, leaks, run

PATH = "/Users/me/my stack/it's"
QUOTED = "'/Users/me/my stack/it'\"'\"'s'"
QUOTED_NEW = "'/Users/me/my stack/it'\"'\"'s.new'"
CONTENT = "first\nsecond ü\n"
SECRET = '{"apiKeys": ["sk-me-0123456789"]}\n'


def state(content: str = CONTENT, mode: str = "644") -> str:
    return f"file {mode} {hashlib.sha256(content.encode()).hexdigest()}  -"


def text(answer: str, **options: Any) -> Run:
    return run(files.text, path=PATH, content=CONTENT, answers={"state": answer}, **options)


def write(mode: str) -> list[str]:
    """How a file is put in place: made with its mode, filled, moved over the old one."""
    return [
        f"mkdir -p '/Users/me/my stack' && rm -f {QUOTED_NEW} && (umask 077 && : > {QUOTED_NEW} )",
        f"upload {PATH}.new",
        f"chmod {mode} {QUOTED_NEW} && mv -f {QUOTED_NEW} {QUOTED}",
    ]


def test_a_file_that_is_as_wanted_is_left_alone() -> None:
    found = text(state())

    assert found.untouched
    assert found.asked == [f"state {QUOTED}"]


@pytest.mark.parametrize(
    "answer",
    ["absent", "link", "directory 755", state("other"), state(mode="600"), "file 644 "],
)
def test_a_file_that_is_not_as_wanted_is_replaced_by_a_rename(answer: str) -> None:
    found = text(answer)

    assert found.sent == write("644")
    assert found.uploads == {f"{PATH}.new": CONTENT}
    assert found.planned
    assert found.changed


def test_a_mode_can_be_chosen() -> None:
    assert text(state(mode="755"), mode="755").untouched
    assert text(state(mode="644"), mode="755").sent == write("755")


def test_with_diff_the_lines_that_change_are_shown() -> None:
    found = text(state("first\n"), diff=True)

    assert any("second" in line for line in found.everything)


def test_a_failed_upload_leaves_the_old_file() -> None:
    found = run(
        files.text, path=PATH, content=CONTENT, answers={"state": "absent"}, fails=["mkdir"]
    )

    assert found.failed
    assert found.sent == write("644")[:1]


def test_the_harness_would_see_a_secret() -> None:
    """So that the tests above can fail: a text file's content is an argument that shows."""
    found = run(files.text, path="/x", content=SECRET, answers={"state": "absent"}, mode="sk-shown")

    assert leaks(found, "sk-shown")


def test_a_file_is_kept_away() -> None:
    assert run(files.absent, path=PATH, answers={"state": "absent"}).untouched
    assert run(files.absent, path=PATH, answers={"state": "link"}).sent == [f"rm -f {QUOTED}"]


# -- Files that others write


def private(*modes: str, **options: Any) -> Run:
    paths = [PATH, "/Users/me/b"]
    return run(files.private, paths=paths, answers={"modes": list(modes)}, **options)


def test_files_that_only_their_owner_reads_are_left_alone() -> None:
    assert private("600", "600").untouched


@pytest.mark.parametrize("mode", ["644", "660", "", "4600"])
def test_what_is_open_to_others_or_not_there_yet_is_made_private(mode: str) -> None:
    """What is in it stays."""
    found = private(mode, "600")

    assert found.sent == [f"umask 077 && touch {QUOTED} && chmod 600 {QUOTED}"]


def test_directories_that_are_missing_are_made_for_their_owner() -> None:
    paths = ["/Users/me/slots", "/Volumes/Big Disk/slots"]
    found = run(files.directories, paths=paths, answers={"state": "absent\ndirectory 755"})

    assert found.sent == ["umask 077 && mkdir -p /Users/me/slots"]
    there = "directory 700\ndirectory 755"
    assert run(files.directories, paths=paths, answers={"state": there}).untouched
