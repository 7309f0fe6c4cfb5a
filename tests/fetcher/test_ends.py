"""Runs that are cut off, told to stop, or taken over by a later one; and what they print."""

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fetcher.conftest import (
    Program,
    files,
    have,
    kept,
    leave,
    model,
    part_of,
    put,
    spec,
    wait_for,
)  # fmt: skip
from tests.fetcher.servers import Hub

CONTENT = os.urandom(3_000_000)
NAME = "m.gguf"


@pytest.fixture
def hub(serve: Callable[[dict[str, bytes]], Hub]) -> Hub:
    return serve({NAME: CONTENT})


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "tiny"


def arrived(target: Path) -> int:
    """Bytes that the journal vouches for, and that are right."""
    count = have(target, NAME, CONTENT)
    part = part_of(target, NAME, CONTENT)
    assert count <= 0 or CONTENT.startswith(part.read_bytes()[:count])
    return count


def test_a_journal_is_there_from_the_beginning_and_grows(
    program: Program, hub: Hub, target: Path
) -> None:
    hub.hang(after=0)
    program.start(spec(model(hub, target), patience={}))
    wait_for(lambda: arrived(target) == 0)
    assert len(hub.asked) <= 1
    hub.release.set()
    wait_for(lambda: files(target) == hub.files)


@pytest.mark.parametrize(
    "moment", [0.9, *(pytest.param(moment, marks=pytest.mark.soak) for moment in (0.4, 1.6, 2.3))]
)
def test_a_killed_run_is_resumed_with_little_fetched_again(
    program: Program, hub: Hub, target: Path, moment: float
) -> None:
    """At the rate of this Hub a journal's second is 1,200,000 bytes of two connections."""
    hub.rate = 600_000
    process = program.start(spec(model(hub, target), connections=2))
    wait_for(lambda: hub.asked)
    time.sleep(moment)
    process.kill()
    process.wait()
    time.sleep(0.1)
    hub.rate = 0
    done = program.run(spec(model(hub, target), connections=2))

    assert done.returncode == 0, done.stderr
    assert files(target) == hub.files
    # What was on its way, too.
    assert hub.sent - len(CONTENT) <= 1_200_000 * 1.3 + 200_000


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_run_that_is_told_to_stop_leaves_all_that_has_come(
    program: Program, hub: Hub, target: Path, number: signal.Signals
) -> None:
    hub.hang(after=500_000)
    process = program.start(spec(model(hub, target), patience={}))
    wait_for(lambda: hub.sent)
    time.sleep(0.2)
    process.send_signal(number)
    output, _ = process.communicate(timeout=10)

    assert process.returncode == 1
    assert "Traceback" not in output
    assert arrived(target) == 500_000
    assert ("a later run has taken over" in output) == (number == signal.SIGTERM)


def test_a_run_whose_connection_is_gone_stops_and_leaves_what_has_come(
    program: Program, hub: Hub, target: Path
) -> None:
    hub.hang(after=500_000)
    process = program.start(spec(model(hub, target), patience={}))
    assert process.stdout
    # The first line of progress shows that it prints; then nobody reads any more.
    assert "MiB/s" in process.stdout.readline()
    process.stdout.close()
    process.wait(timeout=10)

    assert process.returncode == 1
    assert arrived(target) == 500_000


def test_a_later_run_takes_over_and_the_earlier_one_ends(
    program: Program, hub: Hub, target: Path
) -> None:
    """The earlier run's output is still read, as after a lost connection that nobody noticed."""
    hub.hang(after=500_000)
    earlier = program.start(spec(model(hub, target), patience={}))
    wait_for(lambda: hub.sent)
    time.sleep(0.2)
    done = program.run(spec(model(hub, target)))
    output, _ = earlier.communicate(timeout=10)

    assert done.returncode == 0, done.stderr
    assert "tiny: taking over from an earlier run\n" in done.stdout
    assert earlier.returncode == 1
    assert "tiny: a later run has taken over" in output
    assert hub.ranges()[1] == "500000-1048575"
    assert files(target) == hub.files


def test_an_earlier_run_that_does_not_end_is_killed(
    program: Program, hub: Hub, target: Path
) -> None:
    (target / ".herd").mkdir(parents=True)
    lock = target / ".herd" / "lock"
    deaf = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, os, signal, sys, time\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "f = open(sys.argv[1], 'w'); os.chmod(f.name, 0o600); fcntl.lockf(f, fcntl.LOCK_EX)\n"
            "f.write('held'); f.flush(); time.sleep(60)",
            str(lock),
            "fetcher",
        ]
    )
    wait_for(lambda: lock.exists() and lock.read_text())
    done = program.run(spec(model(hub, target)))

    assert deaf.wait(timeout=5) == -signal.SIGKILL
    assert done.returncode == 0, done.stderr
    assert files(target) == hub.files


def test_a_process_that_only_has_the_number_of_an_earlier_run_is_left_alone(
    program: Program, hub: Hub, target: Path
) -> None:
    other = subprocess.Popen(["sleep", "60"])
    put(target / ".herd" / "lock", str(other.pid).encode())
    done = program.run(spec(model(hub, target)))
    lives = other.poll() is None
    other.kill()
    other.wait()

    assert done.returncode == 0
    assert lives
    assert "taking over" not in done.stdout


def test_a_run_holds_its_directory_and_nobody_else_may_open_its_lock(
    program: Program, hub: Hub, target: Path
) -> None:
    put(target / ".herd" / "lock", b"")
    (target / ".herd" / "lock").chmod(0o666)
    hub.hang(after=10)
    program.start(spec(model(hub, target), patience={}))
    wait_for(lambda: hub.asked)
    with (target / ".herd" / "lock").open("r+") as lock:
        assert os.fstat(lock.fileno()).st_mode & 0o777 == 0o600
        with pytest.raises(BlockingIOError):
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_who_holds_the_lock_and_is_no_fetcher_is_left_alone(
    program: Program, hub: Hub, target: Path
) -> None:
    """Nor is the process whose number stands in the file."""
    named = subprocess.Popen(["sleep", "60"])
    lock = target / ".herd" / "lock"
    put(lock, str(named.pid).encode())
    code = "import fcntl, sys, time; f = open(sys.argv[1], 'r+')\n"
    code += "fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); time.sleep(60)"
    command = [sys.executable, "-c", code, str(lock)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert holder.stdout
    assert holder.stdout.readline() == b"held\n"
    done = program.run(spec(model(hub, target)))
    lived = [process.poll() is None for process in (named, holder)]
    for process in (named, holder):
        process.kill()
        process.communicate()

    assert lived == [True, True]
    assert done.returncode == 1
    assert f"process {holder.pid}, which is no run of ours, holds .herd/lock" in done.stderr


def test_nothing_of_a_transfer_is_left_in_the_end(program: Program, hub: Hub, target: Path) -> None:
    leave(target, NAME, CONTENT, (0, 100))
    assert program.run(spec(model(hub, target))).returncode == 0

    assert kept(target) == {f"{NAME}.receipt"}


def test_a_network_that_gives_nothing_is_told_without_rate_or_time(
    program: Program, hub: Hub, target: Path
) -> None:
    hub.hang(after=0)
    process = program.start(spec(model(hub, target), patience={}))
    assert process.stdout
    told = process.stdout.readline()
    hub.release.set()
    process.communicate(timeout=20)

    assert told == "tiny: 0%, 0.0 MiB of 2.9 MiB, waiting for the network\n"


def test_progress_is_told_in_bytes_rate_and_time_left(
    program: Program, hub: Hub, target: Path
) -> None:
    leave(target, NAME, CONTENT, (0, 1000))
    hub.rate = 500_000
    process = program.start(spec(model(hub, target)))
    assert process.stdout
    lines = [process.stdout.readline() for _ in range(2)]
    hub.release.set()
    hub.rate = 0
    rest, _ = process.communicate(timeout=20)

    assert lines[0] == "tiny: resuming at 0.0 MiB of 2.9 MiB\n"
    shape = r"tiny: (\d+)%, 0\.\d MiB of 2\.9 MiB, 0\.[3-6] MiB/s, 0:00:0\d left\n"
    told = re.fullmatch(shape, lines[1])
    assert told, lines
    assert 5 <= int(told[1]) <= 30
    assert rest.endswith("tiny: complete, 2.9 MiB\n")
