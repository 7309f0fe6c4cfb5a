"""What every connection to a Mac is like, a deploy's and a verb's: without delays, with macOS's own
tools, watched, through any login shell, and open to whatever the Mac says."""

import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import gevent  # type: ignore[import-untyped]
from pyinfra.api import Host, State, StringCommand
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.state import BaseStateCallback

from herd.connections import keepalive
from herd.core.mac import own_environment
from herd.core.text.login_shell import encoded, portable

LONGEST_LINE = 1 << 20
"""Bytes of a Mac's output, after which a line is broken."""

# Paramiko would print a traceback of its own where a Mac only does not say who it is.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


class Lines:
    """Lines of a command's output, whatever bytes a Mac sends: pyinfra's own reading ends with the
    first that is no UTF-8, and what the Mac says after it is lost."""

    def __init__(self, channel: Any, file: Any) -> None:
        self.channel, self._file = channel, file

    def __iter__(self) -> Iterator[str]:
        while line := self._file.readline(LONGEST_LINE):
            yield line.decode(errors="backslashreplace")


class Connected(BaseStateCallback):
    """A connection that is made ready once it is there."""

    @staticmethod
    def host_connect(state: State, host: Host) -> None:
        """Send small packets at once, read what comes as it comes, and notice when nothing does.

        pyinfra's SSH client leaves Nagle's algorithm on: 44 of a command's 48 ms are waiting.
        """
        connector: Any = host.connector
        client = getattr(connector, "client", None)
        # A login shell may have an alias of that name (zsh expands those of ~/.zshenv).
        sh = "/bin/sh" if client else "sh"
        connector.run_shell_command = with_own_tools(connector.run_shell_command, sh)
        connector.put_file = failing_alone(connector.put_file)
        if client:
            client.exec_command = spoken(host, reading(client.exec_command))
        transport = client.get_transport() if client else None
        if not transport:
            return
        # Behind a jump host this is a channel of another connection, without such an option.
        if isinstance(transport.sock, socket.socket):
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        gevent.spawn(keepalive.watch, host, transport)


def with_own_tools(run: Callable[..., Any], sh: str) -> Callable[..., Any]:
    """A connector's run_shell_command, with macOS's tools before any others that the user's shell
    has in its PATH, and without what else it exports: GNU's `stat`, `date` and others take and
    print something else. `sh` is what runs it."""

    def run_shell_command(command: Any, *arguments: Any, **options: Any) -> Any:
        options["_env"] = {**own_environment.VARIABLES, **(options.get("_env") or {})}
        options["_shell_executable"] = sh
        own = StringCommand(own_environment.PREAMBLE, command, _separator="")
        return run(own, *arguments, **options)

    return run_shell_command


def failing_alone(put: Callable[..., Any]) -> Callable[..., Any]:
    """A connector's put_file, of which a connection that ends is a failure of this host: pyinfra
    ends the run of all hosts for what is no OSError."""

    def put_file(*arguments: Any, **options: Any) -> Any:
        try:
            return put(*arguments, **options)
        except (EOFError, PyinfraError) as error:
            raise ConnectionError(str(error) or "the connection ended") from error

    return put_file


def reading(run: Callable[..., Any]) -> Callable[..., Any]:
    """An SSH client's exec_command, with its output as `Lines`."""

    def exec_command(*arguments: Any, **options: Any) -> tuple[Any, Lines, Lines]:
        stdin, stdout, _ = run(*arguments, **options)
        channel = stdout.channel
        errors = Lines(channel, channel.makefile_stderr("rb"))
        return stdin, Lines(channel, channel.makefile("rb")), errors

    return exec_command


def spoken(host: Host, run: Callable[..., Any]) -> Callable[..., Any]:
    """An SSH client's exec_command, with commands as the user's login shell reads them; which that
    is, is asked where the first got no answer (herd/facts/gathered.py)."""

    def exec_command(command: str, *arguments: Any, **options: Any) -> Any:
        shell = host.connector_data.get("login_shell")
        said = portable(command) if shell is None else encoded(command, shell)
        return run(said, *arguments, **options)

    return exec_command
