"""stop-processes.sh and listeners.sh, on real processes and ports."""

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from herd.facts.listeners import Listener, Process, parse
from tests.scripts.conftest import Machine


@pytest.fixture
def processes() -> Iterator[Callable[[bool], subprocess.Popen[str]]]:
    """Starts processes, which may ignore SIGTERM."""
    started: list[subprocess.Popen[str]] = []

    def start(stubborn: bool) -> subprocess.Popen[str]:
        # exec, so that there is one process, which keeps an ignored signal ignored.
        text = f"trap {'' if stubborn else '-'!r} TERM; echo ready; exec sleep 60"
        process = subprocess.Popen(["sh", "-c", text], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        # Somebody must wait for it, or it would be there as a zombie.
        threading.Thread(target=process.wait, daemon=True).start()
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


Start = Callable[[bool], "subprocess.Popen[str]"]


def test_processes_are_gone_when_the_script_ends(machine: Machine, processes: Start) -> None:
    both = [processes(False), processes(False)]
    done = machine.run("stop-processes", *(process.pid for process in both))

    assert (done.returncode, done.stderr) == (0, "")
    assert [process.wait(1) for process in both] == [-15, -15]


def test_a_process_that_ignores_the_signal_is_ended_with_force(
    machine: Machine, processes: Start
) -> None:
    """The other one is gone by then: that one is gone is no reason to stop waiting."""
    machine.program("sleep", "")
    willing, stubborn = processes(False), processes(True)
    done = machine.run("stop-processes", willing.pid, stubborn.pid)

    assert done.returncode == 0
    assert (willing.wait(1), stubborn.wait(1)) == (-15, -9)


def test_a_process_that_is_gone_already_is_fine(machine: Machine, processes: Start) -> None:
    gone, other = processes(False), processes(False)
    gone.kill()
    gone.wait()
    done = machine.run("stop-processes", gone.pid, other.pid)

    assert (done.returncode, done.stderr) == (0, "")
    assert other.wait(1) == -15


# -- Listeners


@pytest.fixture
def listener() -> Iterator[tuple[int, int]]:
    """A process that listens and answers nothing: its port and pid."""
    text = (
        "import socket\n"
        "s = socket.create_server(('127.0.0.1', 0))\n"
        "print(s.getsockname()[1], flush=True)\n"
        "while True: s.accept()[0].close()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", text, "a  b"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    yield int(process.stdout.readline()), process.pid
    process.kill()
    process.wait()
    process.stdout.close()


def listeners(machine: Machine, *ports: int) -> dict[int, Listener]:
    done = machine.run("listeners", *ports)
    assert (done.returncode, done.stderr) == (0, "")
    return parse(done.stdout.splitlines())


def lsof(machine: Machine, *pids: int) -> None:
    """From documentation: without root it shows one's own processes only, and exits 1 for none."""
    rows = "".join(
        f"echo 'Python {pid} me 3u IPv4 0x0 0t0 TCP 127.0.0.1:8080 (LISTEN)'\n" for pid in pids
    )
    machine.program("lsof", f"echo 'COMMAND PID USER FD TYPE'\n{rows}" if pids else "exit 1")


def test_a_listener_is_told_with_its_process_and_parent(
    machine: Machine, listener: tuple[int, int], free_port: int
) -> None:
    port, pid = listener
    lsof(machine, pid, pid)
    found = listeners(machine, free_port, port)

    assert found.keys() == {port}
    (process,) = found[port].processes.values()
    assert found[port].processes.keys() == {pid}
    assert process.command.endswith(" a  b")
    assert process.parent > 0
    assert isinstance(process, Process)


def test_another_users_listener_is_told_without_a_process(
    machine: Machine, listener: tuple[int, int]
) -> None:
    lsof(machine)

    assert listeners(machine, listener[0]) == {listener[0]: Listener()}


def test_a_process_that_ended_in_the_meantime_is_left_out(
    machine: Machine, listener: tuple[int, int]
) -> None:
    lsof(machine, 999_999)

    assert listeners(machine, listener[0]) == {listener[0]: Listener()}


def test_a_port_that_accepts_and_says_nothing_is_taken(machine: Machine) -> None:
    lsof(machine)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        machine.program(
            "curl", 'exec /usr/bin/env -i PATH="${PATH#*:}" curl --max-time 0.3 "$@" --max-time 0.3'
        )

        assert listeners(machine, port) == {port: Listener()}


def test_free_ports_are_not_told(machine: Machine, free_port: int) -> None:
    lsof(machine)

    assert listeners(machine, free_port) == {}
