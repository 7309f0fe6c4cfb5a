"""Others may write where our parts and notes are: no link of theirs is followed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fetcher import no_links
from tests.fetcher.conftest import (
    Program,
    files,
    journal_of,
    leave,
    model,
    part_of,
    put,
    sha256,
    spec,
)  # fmt: skip
from tests.fetcher.servers import Hub

FILES = {"q/m.gguf": os.urandom(50_000)}
((NAME, CONTENT),) = FILES.items()
PRECIOUS = b"nobody but its owner may change this"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "models/tiny/q").mkdir(parents=True)
    (tmp_path / "models/tiny/.herd/q").mkdir(parents=True)
    return tmp_path / "models/tiny"


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    put(tmp_path / "precious", PRECIOUS)
    return tmp_path / "precious"


OURS: dict[str, Callable[[Path], Path]] = {
    "part": lambda target: part_of(target, NAME, CONTENT),
    "journal": lambda target: journal_of(target, NAME, CONTENT),
    "new journal": lambda target: target / f".herd/{NAME}.{sha256(CONTENT)[:12]}.pieces.new",
    "receipt": lambda target: target / f".herd/{NAME}.receipt",
    "new receipt": lambda target: target / f".herd/{NAME}.receipt.new",
    "lock": lambda target: target / ".herd/lock",
}


@pytest.mark.parametrize("link", [os.symlink, os.link, lambda _, at: os.mkfifo(at)],
                         ids=["symbolic", "hard", "pipe"])  # fmt: skip
@pytest.mark.parametrize("place", OURS.values(), ids=OURS)
def test_a_link_in_the_place_of_ours_goes(
    program: Program, serve: Callable[..., Hub], target: Path, precious: Path,
    place: Callable[[Path], Path], link: Callable[[Path, Path], None],
) -> None:  # fmt: skip
    link(precious, place(target))
    done = program.run(spec(model(serve(FILES), target)))

    assert (done.returncode, done.stderr) == (0, "")
    assert files(target) == FILES
    assert precious.read_bytes() == PRECIOUS
    assert precious.stat().st_nlink == 1


@pytest.mark.parametrize("folder", ["q", ".herd", ".herd/q"])
def test_a_linked_folder_below_the_model_s_is_not_entered(
    program: Program, serve: Callable[..., Hub], target: Path, tmp_path: Path, folder: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "q").mkdir(parents=True)
    for below_it in sorted((target / folder).rglob("*"), reverse=True):
        below_it.rmdir()
    (target / folder).rmdir()
    (target / folder).symlink_to(elsewhere)
    done = program.run(spec(model(serve(FILES), target)))

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert [path for path in elsewhere.rglob("*") if path.is_file()] == []


def test_the_model_s_own_directory_may_be_a_link(
    program: Program, serve: Callable[..., Hub], tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "tiny").symlink_to(tmp_path / "disk")
    done = program.run(spec(model(serve(FILES), tmp_path / "tiny")))

    assert (done.returncode, done.stderr) == (0, "")
    assert files(tmp_path / "disk") == FILES


def test_bytes_that_another_user_put_there_are_not_taken(
    program: Program, serve: Callable[..., Hub], target: Path
) -> None:
    """Whoever owns the part could change it after it was verified."""
    if os.geteuid():
        pytest.skip("only root can give a file away")
    leave(target, NAME, CONTENT, (0, 40_000))
    os.chown(part_of(target, NAME, CONTENT), 12345, -1)
    hub = serve(FILES)
    done = program.run(spec(model(hub, target)))

    assert done.returncode == 0
    assert hub.ranges() == ["0-49999"]
    assert (target / NAME).stat().st_uid == os.geteuid()


def test_a_note_of_another_user_says_nothing(target: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give a file away")
    put(target / ".herd/x", b"theirs")
    os.chown(target / ".herd/x", 12345, -1)

    with pytest.raises(PermissionError):
        no_links.read(target, ".herd/x")
