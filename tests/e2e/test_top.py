"""`make top` on real pseudo-terminals, in a pipe and for programs: of a Mac that serves, and of one
that is not there."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.fleet import PROJECT, SENTENCE, Fleet, Run, until


@pytest.fixture
def herd(deployed: Fleet) -> Path:
    """An inventory of the module's Mac and of one where nobody listens."""
    scope: dict[str, Any] = {}
    exec(deployed.lab.inventory.read_text(), scope)
    ((name, data),) = scope["macs"]
    path = deployed.lab.directory / "inventory-of-top.py"
    path.write_text(f"macs = {[(name, data), ('attic', data | {'ssh_port': 1})]!r}\n")
    return path


class Screen:
    """What a terminal of some size has been shown."""

    def __init__(self, descriptor: int) -> None:
        self.raw = ""
        self._descriptor = descriptor

    def read(self) -> str:
        with suppress(OSError):  # nothing new, or nobody is left
            self.raw += os.read(self._descriptor, 1 << 16).decode(errors="replace")
        return self.raw

    @property
    def lines(self) -> list[str]:
        """Of the last drawing."""
        last = self.raw.rpartition("\x1b[H")[2]
        return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;?]*[a-z]", "", last).splitlines()]


@contextmanager
def terminal(
    fleet: Fleet, inventory: Path, columns: int, rows: int
) -> Iterator[tuple["subprocess.Popen[bytes]", Screen]]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    os.set_blocking(ours, False)
    process = subprocess.Popen(
        [sys.executable, "-m", "herd", "top", "--inventory", str(inventory), "--interval", "0.5"],
        cwd=PROJECT,
        env=fleet.environment | {"TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield process, Screen(ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def numbers(screen: Screen) -> list[str]:
    """Of the Mac that is there, once all that is known of both is drawn; until then nothing."""
    screen.read()
    there = "\n".join(screen.lines)
    found = re.search(r"mac1 .*(?:\n.*)? (\S+/1 +\S+ .* GiB)", there)
    return found[1].split() if found and "Could not connect" in there else []


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        pytest.param(60, 24, id="narrow"),
        pytest.param(120, 30, id="wide", marks=pytest.mark.soak),
    ],
)
def test_a_terminal_shows_the_herd_until_ctrl_c(
    deployed: Fleet, herd: Path, columns: int, rows: int
) -> None:
    assert deployed.says() == SENTENCE
    with terminal(deployed, herd, columns, rows) as (process, screen):
        until(lambda: numbers(screen), 60)
        drawn, found = screen.lines, numbers(screen)
        # Its connection ends, and is made again.
        deployed["mac1"].disconnect()
        screen.raw = ""
        until(lambda: numbers(screen), 60)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 0
        screen.read()

    assert re.match(r"2 Macs, 1 lost  \S+/1 slots  \S+ req/min  \S+ tok/s$", drawn[0])
    assert all(len(line) <= columns for line in drawn)
    assert len(drawn) <= rows
    assert any("recite" in line and "mac1" in line for line in drawn)
    assert found[0].endswith("/1")
    assert "Traceback" not in screen.raw
    # The cursor is there again, and so is what was on the screen before.
    assert screen.raw.endswith(("\x1b[?25h\x1b[?1049l", "\x1b[?1049l\x1b[?25h"))


@pytest.mark.soak
def test_a_pipe_gets_plain_text_and_programs_a_line_a_round(deployed: Fleet, herd: Path) -> None:
    assert deployed.says() == SENTENCE  # so that it is loaded
    plain: list[Run] = []
    looking = threading.Thread(
        target=lambda: plain.append(
            deployed.herd("top", "--count", "2", "--interval", "3", inventory=herd)
        )
    )
    asking = threading.Event()

    def ask_on() -> None:
        while not asking.is_set():
            deployed.says()

    asker = threading.Thread(target=ask_on)
    asker.start()
    looking.start()
    try:
        program = deployed.herd("top", "--json", "--count", "2", "--interval", "3", inventory=herd)
        looking.join(120)
    finally:
        asking.set()
        asker.join(60)

    (run,) = plain
    assert (run.code, run.err) == (1, "")  # as one is not there
    assert "\x1b" not in run.out
    assert run.out.count("2 Macs, 1 lost") == 2
    assert re.search(r"^mac1 +recite +\S+/1 +\S+ .* GiB$", run.out, re.MULTILINE)
    assert (program.code, program.err) == (1, "")
    first, second = map(json.loads, program.out.splitlines())
    for told in (first, second):
        assert (told["schema"], told["verb"]) == (1, "top")
        assert told["hosts"]["mac1"]["models"] == {"recite": "ready"}
        assert list(told["unreached"]) == ["attic"]
        assert told["unreached"]["attic"].startswith("Could not connect")
    assert first["at"] < second["at"]
    mac = second["hosts"]["mac1"]
    assert mac["requests_per_minute"] > 0
    assert mac["tokens_per_second"] > 0
    assert mac["memory"] > mac["vitals"]["wired"] > 0
    assert mac["problems"] == []
