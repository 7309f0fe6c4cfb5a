"""`make uninstall`: what was put on a Mac goes, and nothing else; what stays is named."""

import json
import subprocess
from collections.abc import Callable, Iterator

import pytest

from lab.lab import Mac
from tests.e2e.fleet import PROGRAMS, PROJECT, SENTENCE, Deploying, Fleet, Run, plain

# What Homebrew keeps for itself, whatever it uninstalls; and folders that every Mac has.
OF_HOMEBREW = ("opt/homebrew/var/homebrew/", "Users/tester/.homebrew")
OF_MACOS = {
    *("Users/tester/Library", "Users/tester/Library/LaunchAgents", "Users/tester/Library/Logs"),
}
HOME = "Users/tester/llama-swap"


def everything(mac: Mac) -> set[str]:
    """Every file and directory of the user, of Homebrew and in /Library."""
    tops = (mac.home, mac.prefix, mac.root / "Library")
    paths = {str(path.relative_to(mac.root)) for top in tops for path in top.rglob("*")}
    return {path for path in paths if not path.startswith(OF_HOMEBREW)} - OF_MACOS


def jobs(mac: Mac) -> list[str]:
    return [*mac.launchd.labels(), *mac.launchd.labels("system")]


def stays(run: Run) -> list[str]:
    return [line for line in plain(run.err).splitlines() if "stays:" in line]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made = Fleet(tmp_path_factory.mktemp("lab"), "mac1")
    yield made
    made.stop()


def kill_in(fleet: Fleet, operation: str) -> None:
    """Begin an uninstall, and kill it at the beginning of an operation."""
    command = [str(PROGRAMS / "pyinfra"), "-y", str(fleet.lab.inventory), "uninstall.py"]
    process = subprocess.Popen(
        command,
        cwd=PROJECT,
        env=fleet.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    running = Deploying(process)
    running.await_line(f"--> Starting operation: {operation}")
    running.kill()


def test_what_was_put_there_goes_and_all_else_stays(fleet: Fleet) -> None:
    mac = fleet["mac1"]
    fresh, before = everything(mac), jobs(mac)
    assert fleet.deploy().code == 0
    root = mac.root / HOME
    (root / "notes.txt").write_text("mine")
    (root / "proxy/mine.py").write_text("")
    (root / "models/mine").mkdir()
    (root / "models/mine/mine.gguf").write_bytes(b"mine")
    own = {"", "/notes.txt", "/proxy", "/proxy/mine.py", "/models", "/models/mine"}
    own = {f"{HOME}{path}" for path in {*own, "/models/mine/mine.gguf"}}

    asked = fleet.herd("uninstall")
    assert (asked.code, "--yes" in asked.err) == (1, True)
    assert fleet.says() == SENTENCE

    first = fleet.herd("uninstall", "--yes")
    assert first.code == 0, first.err
    left = everything(mac) - fresh
    assert jobs(mac) == before
    kept = {path for path in left if path.startswith("Users/")} - own
    assert f"{HOME}/installed-packages" in kept
    assert all(p.startswith((f"{HOME}/models/", f"{HOME}/installed-packages")) for p in kept)
    said = "\n".join(stays(first))
    assert "MiB in" in said
    assert "llama.cpp, llama-swap, hf, uv, python@3.13, ggml" in said
    assert "notes.txt, proxy/mine.py" in said

    mac.clear_log()
    second = fleet.herd("uninstall", "--yes", "--json")
    assert second.code == 0
    assert json.loads(second.out)["hosts"]["mac1"] == {
        "outcome": "done",
        "changed": [],
        "failed": [],
    }
    assert stays(second) == stays(first)
    assert everything(mac) - fresh == left
    assert [text for kind, text in mac.log if "rm -" in text and "stack-files" not in text] == []

    last = fleet.herd("uninstall", "--yes", "--models", "--packages", "--json")
    assert last.code == 0, last.err
    changed = json.loads(last.out)["hosts"]["mac1"]["changed"]
    assert {"Models | Remove the models", "Packages | Uninstall the packages"} <= {*changed}
    assert everything(mac) - fresh == own
    assert (mac.home / ".homebrew/trust.json").read_text().count("llama-swap") == 0
    for path in ("notes.txt", "proxy/mine.py", "models/mine/mine.gguf"):
        (root / path).unlink()
    (root / "models/mine").rmdir()
    end = fleet.herd("uninstall", "--yes", "--models", "--packages")
    assert end.code == 0, end.err
    assert everything(mac) == fresh


@pytest.mark.soak
@pytest.mark.parametrize(
    "operation",
    [
        "Services | End what would deploy it again",
        "Services | End and remove the jobs",
        "Services | Stop what runs outside launchd",
        "Mac | Put the Mac's settings back",
        "Files | Remove the stack's files",
        "Models | Remove the models",
        "Packages | Uninstall the packages",
        "Summary | Remove empty directories",
    ],
)
def test_one_that_is_killed_is_finished_by_the_next(
    make_fleet: Callable[..., Fleet], operation: str
) -> None:
    fleet = make_fleet("mac1")
    mac = fleet["mac1"]
    fresh, before = everything(mac), jobs(mac)
    assert fleet.deploy().code == 0

    kill_in(fleet, operation)
    run = fleet.herd("uninstall", "--yes", "--models", "--packages")

    assert run.code == 0, run.err
    assert everything(mac) == fresh
    assert jobs(mac) == before
