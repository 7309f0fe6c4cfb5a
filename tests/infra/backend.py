"""testinfra's commands over the connection that a deploy has.

So hosts, users, ports, keys and jump hosts are those of the inventory, read by nobody else.
"""

import shlex
from typing import Any

from pyinfra.api import Host
from testinfra.backend.base import BaseBackend, CommandResult


class PyinfraBackend(BaseBackend):
    """Runs commands on a connected host of pyinfra."""

    NAME = "pyinfra"

    def __init__(self, host: Host) -> None:
        super().__init__(host.name)
        self._connected = host

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        """The exit code comes as a last line."""
        words = self.get_command(command, *args)
        _, output = self._connected.run_shell_command(wrapped(words))
        lines = output.stdout_lines
        if not lines or not lines[-1].isdigit():
            raise ConnectionError(f"{self.hostname} broke off: {output.stderr}")
        *rest, code = lines
        errors = "".join(f"{line}\n" for line in output.stderr_lines)
        return self.result(int(code), words.encode(), "\n".join(rest), errors)

    def get_encoding(self) -> str:
        """A Mac's. To ask its `python3` would open a window there, on one without Xcode's tools."""
        return "utf-8"


def wrapped(command: str) -> str:
    """What is sent for a command: pyinfra tells of an exit code only whether it was 0."""
    return f"sh -c {shlex.quote(command)} </dev/null; printf '\\n%s\\n' $?"
