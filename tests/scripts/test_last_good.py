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
domain=${2%%/*} label=${2##*/}
case $1 in
  print) [ -e "STATE/$domain/$label" ] || exit 113; printf '\tpid = 7\n' ;;
  bootout) rm -f "STATE/$domain/$label" ;;
  bootstrap) name=${3##*/}; : >"STATE/$domain/${name%.plist}" ;;
esac
"""
# What may be done as root is done, and noted; launchctl's is that above.
SUDO = r"""
[ "$1" != -n ] || shift
echo "sudo $*" >>STATE/calls
[ ! -e STATE/no-root ] || { echo "sudo: a password is required" >&2; exit 1; }
case $1 in /bin/launchctl) shift; exec launchctl "$@" ;; esac
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
        for directory in ("gui", "system"):
            (self.state / directory).mkdir(parents=True)
        for directory in (self.root / "releases/llama.cpp", self.agents):
            directory.mkdir(parents=True)
        machine.program("launchctl", LAUNCHCTL.replace("STATE", quoted(self.state)))
        machine.program("sudo", SUDO.replace("STATE", quoted(self.state)))
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
            (self.state / "gui" / label).touch()

    def says(self) -> set[str]:
        link = os.readlink(self.root / "releases/llama.cpp/current")[1]
        return {link, *(file.read_text().removesuffix(LISTENS) for file in self.files)}

    def keep(self, run: str) -> None:
        done = self.machine.run("keep-good", self.root, run, *self.files[2:])
        assert (done.returncode, done.stderr) == (0, "")

    def put_back(
        self, *, running: bool = True, domain: str = "session"
    ) -> subprocess.CompletedProcess[str]:
        (self.state / "calls").unlink(missing_ok=True)
        labels = {"llama-swap": SWAP, "proxy": PROXY}
        jobs = [
            word
            for name, label in labels.items()
            for word in (name, self.agents / f"{label}.plist", f"write {name}")
        ]
        return self.machine.run("put-back", self.root, domain, "yes" if running else "", *jobs)

    @property
    def calls(self) -> list[str]:
        return (self.state / "calls").read_text().splitlines()

    def restarted(self) -> list[str]:
        return [call.rpartition("/")[2] for call in self.calls if call.startswith("bootout")]

    def loaded(self, domain: str) -> set[str]:
        return {path.name for path in (self.state / domain).iterdir()}


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
    (stack.state / "gui" / SWAP).unlink()

    assert "put back, and answers" in stack.put_back().stderr
    assert stack.loaded("gui") == {SWAP, PROXY}


def test_agents_come_back_where_the_run_made_daemons_of_them(stack: Stack) -> None:
    stack.keep("run 1")
    for label in (SWAP, PROXY):
        (stack.state / "gui" / label).unlink()
        (stack.agents / f"{label}.plist").unlink()
    (stack.state / "system" / SWAP).touch()

    done = stack.put_back(domain="system")

    assert done.stderr == "What served before is put back, and answers.\n"
    assert stack.loaded("gui") == {SWAP, PROXY}
    assert stack.loaded("system") == set()
    assert stack.says() == {"1"}
    # A login would not have started them: they had been given up.
    assert f"enable gui/{os.getuid()}/{SWAP}" in stack.calls


def daemons(stack: Stack) -> None:
    """Have the stack's jobs be the system's; whether there are property lists, only a Mac says."""
    for label in (SWAP, PROXY):
        (stack.state / "gui" / label).rename(stack.state / "system" / label)
        (stack.agents / f"{label}.plist").unlink()
        (stack.root / f"daemon-{label.partition('.x.')[2]}.sh").write_text("daemon 1")


def test_daemons_come_back_where_the_run_made_agents_of_them(stack: Stack) -> None:
    """Each is written as root by the words that its rule grants, and no agent is left beside."""
    daemons(stack)
    stack.keep("run 1")
    for label in (SWAP, PROXY):
        (stack.state / "system" / label).unlink()
    (stack.state / "gui" / SWAP).touch()
    (stack.agents / f"{SWAP}.plist").write_text("2")
    (stack.root / "daemon-proxy.sh").write_text("daemon 2")

    stack.put_back()

    assert stack.loaded("gui") == set()
    assert [path.name for path in stack.agents.iterdir()] == []
    assert [call for call in stack.calls if call.startswith("sudo /bin/sh")] == [
        "sudo /bin/sh -c write llama-swap",
        "sudo /bin/sh -c write proxy",
    ]
    assert f"disable gui/{os.getuid()}/{SWAP}" in stack.calls
    assert (stack.root / "daemon-proxy.sh").read_text() == "daemon 1"


def test_where_nobody_may_be_root_any_more_that_is_told(stack: Stack) -> None:
    daemons(stack)
    stack.keep("run 1")
    (stack.state / "answers").unlink()
    (stack.state / "no-root").touch()

    done = stack.put_back()

    assert done.returncode == 1
    assert "`make sudoers` prints the rule" in done.stderr


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
