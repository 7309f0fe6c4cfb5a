"""keep-good.sh and put-back.sh, against a launchctl that notes what it is told."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scripts.conftest import Machine, quoted

LAUNCHCTL = r"""
echo "$*" >>STATE/calls
label=${2##*/}
case $1 in
  print) [ -e "STATE/$label" ] || exit 113; printf '\tpid = 7\n' ;;
  bootout) rm -f "STATE/$label" ;;
  bootstrap) name=${3##*/}; : >"STATE/${name%.plist}" ;;
esac
"""
LISTENS = """
'/a b/llama-swap' --config c --listen 127.0.0.1:8080 --watch-config &
P=1 /p/python -m proxy serve --listen '[::]:3000' --upstream http://127.0.0.1:8080 &
"""
SWAP, PROXY = "com.x.llama-swap", "com.x.proxy"


class Stack:
    """A stack's directory and the property lists of two jobs that run."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.root = machine, machine.home / "my stack"
        self.agents, self.state = machine.home / "LaunchAgents", machine.home / "state"
        for directory in (self.root / "releases/llama.cpp", self.agents, self.state):
            directory.mkdir(parents=True)
        machine.program("launchctl", LAUNCHCTL.replace("STATE", quoted(self.state)))
        # Both ports answer, or neither.
        machine.program(
            "curl",
            f"for url; do :; done; echo $url >>{quoted(self.state)}/asked\n"
            f"[ -e {quoted(self.state)}/answers ] || exit 7",
        )
        if sys.platform != "darwin":
            mv = shutil.which("mv")
            machine.program(
                "mv", f'[ "$1" != -hf ] || {{ shift; set -- -fT "$@"; }}; exec {mv} "$@"'
            )
        (self.state / "answers").touch()
        self.write("1")

    @property
    def files(self) -> list[Path]:
        plists = [self.agents / f"{label}.plist" for label in (SWAP, PROXY)]
        return [self.root / "config.yaml", self.root / "start.command", *plists]

    def write(self, text: str, *names: str) -> None:
        """Have all files, or those of these names, say something; and so the link."""
        for file in self.files:
            if not names or file.name in names:
                file.write_text(text + (LISTENS if file.name == "start.command" else ""))
        if not names or "link" in names:
            link = self.root / "releases/llama.cpp/current"
            link.unlink(missing_ok=True)
            link.symlink_to(f"b{text}-0123456789ab")
        for label in (SWAP, PROXY):
            (self.state / label).touch()

    def says(self) -> set[str]:
        link = os.readlink(self.root / "releases/llama.cpp/current")[1]
        return {link, *(file.read_text().removesuffix(LISTENS) for file in self.files)}

    def keep(self, run: str) -> None:
        done = self.machine.run("keep-good", self.root, run, *self.files)
        assert (done.returncode, done.stderr) == (0, "")

    def put_back(self, *, running: bool = True) -> subprocess.CompletedProcess[str]:
        (self.state / "calls").unlink(missing_ok=True)
        jobs = [self.agents / f"{label}.plist" if running else "" for label in (SWAP, PROXY)]
        words = (self.root, *jobs, *self.files)
        return self.machine.run("put-back", *words)

    def restarted(self) -> list[str]:
        calls = (self.state / "calls").read_text().splitlines()
        return [call.rpartition("/")[2] for call in calls if call.startswith("bootout")]


@pytest.fixture
def stack(machine: Machine) -> Stack:
    return Stack(machine)


def test_what_served_is_there_again_with_both_jobs(stack: Stack) -> None:
    (stack.root / "releases/before").write_text("llama.cpp b0-0123456789ab\n")
    stack.keep("run 1")
    stack.write("2")
    (stack.root / "releases/before").write_text("llama.cpp b1-0123456789ab\n")
    (stack.root / "releases/held").write_text("llama.cpp b1-0123456789ab b2-0123456789ab\n")

    (stack.state / "asked").unlink()
    done = stack.put_back()

    assert done.returncode == 0, done.stderr
    assert done.stderr == "What served before is put back, and answers.\n"
    # Where it listened before, whatever the run wanted.
    asked = (stack.state / "asked").read_text().splitlines()
    assert asked == ["http://127.0.0.1:8080/health", "http://[::]:3000/health"]
    assert stack.says() == {"1"}
    assert stack.restarted() == [SWAP, PROXY]
    assert (stack.root / "releases/before").read_text() == "llama.cpp b0-0123456789ab\n"
    assert not (stack.root / "releases/held").exists()


@pytest.mark.parametrize(
    ("names", "restarted"),
    [
        (["config.yaml"], [SWAP]),
        (["link"], [SWAP]),
        ([f"{PROXY}.plist"], [PROXY]),
        (["start.command"], []),
    ],
)
def test_only_what_needs_it_is_restarted(
    stack: Stack, names: list[str], restarted: list[str]
) -> None:
    stack.keep("run 1")
    stack.write("2", *names)

    assert stack.put_back().returncode == 0
    assert stack.restarted() == restarted
    assert stack.says() == {"1"}


def test_a_job_that_is_gone_is_brought_back(stack: Stack) -> None:
    """Though its file is as it was: a run ended between its end and its start."""
    stack.keep("run 1")
    (stack.state / SWAP).unlink()

    assert "put back, and answers" in stack.put_back().stderr
    assert (stack.state / SWAP).exists()


def test_where_nothing_differs_nobody_is_disturbed(stack: Stack) -> None:
    stack.keep("run 1")

    done = stack.put_back()

    assert done.returncode == 0
    assert "so nothing is put back" in done.stderr
    assert stack.restarted() == []


def test_it_is_kept_once_in_a_run_and_only_what_serves(stack: Stack) -> None:
    stack.keep("run 1")
    stack.write("2")
    stack.keep("run 1")
    stack.put_back()
    assert stack.says() == {"1"}
    stack.write("3")
    (stack.state / "answers").unlink()
    stack.keep("run 2")
    (stack.state / "answers").touch()
    stack.put_back()
    assert stack.says() == {"1"}
    stack.write("4")
    stack.keep("run 3")
    stack.write("5")
    stack.put_back()
    assert stack.says() == {"4"}


def test_on_a_fresh_mac_there_is_nothing_to_say(stack: Stack) -> None:
    done = stack.put_back()

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_does_not_answer_either_is_told(stack: Stack) -> None:
    stack.keep("run 1")
    stack.write("2")
    (stack.state / "answers").unlink()

    done = stack.put_back()

    assert done.returncode == 1
    assert "put back, but does not answer" in done.stderr


def test_jobs_that_are_started_by_hand_are_left_to_it(stack: Stack) -> None:
    stack.keep("run 1")
    stack.write("2")

    assert "`make restart` runs it" in stack.put_back(running=False).stderr
    assert stack.says() == {"1"}
