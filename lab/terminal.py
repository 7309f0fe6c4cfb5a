"""Terminal.app: one window per `open -a Terminal FILE`, each a pseudo-terminal with a login shell.

The window stays when its program ends, as with a new Mac's settings, so that tests can read it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import signal
import subprocess
import sys
from typing import Any

from lab.mac import Machine

KEPT = 1_000_000  # characters of scroll-back

# Makes the pty our controlling terminal, which is what lets Ctrl+C reach the foreground group.
LAUNCHER = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execve(sys.argv[1], sys.argv[1:], os.environ)
"""


class Window:
    """One Terminal window."""

    def __init__(self, machine: Machine, number: int, file: str) -> None:
        self.number = number
        self.file = file
        self.output = b""
        self._loop = asyncio.get_running_loop()
        self._master, slave = pty.openpty()
        os.set_blocking(self._master, False)
        shell = str(machine.root / "bin/sh")
        self.process = subprocess.Popen(
            # The login shell runs the file by its path, then leaves: "[Process completed]".
            [sys.executable, "-I", "-S", "-c", LAUNCHER, shell, "-c", 'exec "$0"', file],
            cwd=machine.home,
            env=machine.environment("Aqua")
            | {
                "PATH": login_path(machine),
                "TERM": "xterm-256color",
                "TERM_PROGRAM": "Apple_Terminal",
            },
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._loop.add_reader(self._master, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._master, 65536)
        except BlockingIOError:
            return
        except OSError:  # EIO: the last process has left the terminal
            data = b""
        if not data:
            self._loop.remove_reader(self._master)
        self.output = (self.output + data)[-KEPT:]

    def write(self, text: str) -> None:
        """Type on its keyboard; "\\x03" is Ctrl+C."""
        with contextlib.suppress(OSError):
            os.write(self._master, text.encode())

    def close(self) -> None:
        """The window's red button: SIGHUP to its session."""
        self._loop.remove_reader(self._master)
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, signal.SIGHUP)
        with contextlib.suppress(OSError):
            os.close(self._master)

    def describe(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "file": self.file,
            "pid": self.process.pid,
            "alive": self.process.poll() is None,
            "output": self.output.decode(errors="replace"),
        }


def login_path(machine: Machine) -> str:
    """A login shell's PATH: path_helper(8) appends what /etc/paths.d names."""
    extra = []
    for file in sorted((machine.root / "private/etc/paths.d").glob("*")):
        extra += file.read_text().split()
    return ":".join([machine.path, *extra])
