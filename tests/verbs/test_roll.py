"""One roll at a time, and how one ends by Ctrl+C."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from herd.verbs.roll import runs


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "inventory.py"
    path.write_text("macs = []\n")
    return path


def test_a_roll_waits_for_what_another_one_has_begun(
    inventory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run inherits the lock, so it holds for as long as that is at work."""
    with runs.only_one(str(inventory)) as first:
        wait = [sys.executable, "-c", "input()"]
        left = subprocess.Popen(wait, stdin=subprocess.PIPE, pass_fds=[first.lock])
    assert left.stdin
    assert capsys.readouterr().err == ""

    # By itself, as pyinfra makes threads of ours wait for each other.
    tell = f"import os, time; time.sleep(1); os.write({left.stdin.fileno()}, b'\\n')"
    telling = subprocess.Popen([sys.executable, "-c", tell], pass_fds=[left.stdin.fileno()])
    with runs.only_one(str(inventory)):
        assert left.wait(60) == 0
    assert telling.wait(60) == 0
    left.communicate()

    assert "waited for" in capsys.readouterr().err


def test_ctrl_c_ends_what_is_under_way_only_when_it_comes_again(inventory: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with runs.only_one(str(inventory)) as running:
        left = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        running.processes.append(left)
        os.kill(os.getpid(), signal.SIGINT)
        assert running.interrupted
        assert left.poll() is None
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert left.wait(60) == -signal.SIGTERM
        left.communicate()
    assert signal.getsignal(signal.SIGINT) is before
