"""What happens around a connection; config.py installs it.

Before the first connection, the settings of all hosts are checked together: deploy code runs
host by host, so the first bad host would hide the problems of the others. And a limit that
matches no host is an error: pyinfra would do nothing, and call that a success. Ctrl+C ends a run.
"""

import functools
import inspect
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import click
import pyinfra.api.util
from pyinfra.api import Host, State
from pyinfra.api.output import set_echo
from pyinfra.api.state import BaseStateCallback
from pyinfra_cli.exceptions import CliError

from herd import plan
from herd.core.settings.problems import SettingsError
from herd.core.text.harmless import harmless
from herd.workstation import toolkit
from herd.workstation.herd_directory import directory

LONGEST_LINE = 1 << 20
"""Bytes of a Mac's output, after which a line is broken."""


class Lines:
    """Lines of a command's output, whatever bytes a Mac sends: pyinfra's own reading ends with the
    first that is no UTF-8, and what the Mac says after it is lost."""

    def __init__(self, channel: Any, file: Any) -> None:
        self.channel, self._file = channel, file

    def __iter__(self) -> Iterator[str]:
        while line := self._file.readline(LONGEST_LINE):
            yield line.decode(errors="backslashreplace")


class Connected(BaseStateCallback):
    """A connection without delays, over which a Mac may say anything."""

    @staticmethod
    def host_connect(state: State, host: Host) -> None:
        """Send small packets at once, and read what comes as it comes.

        pyinfra's SSH client leaves Nagle's algorithm on: 44 of a command's 48 ms are waiting.
        """
        client = getattr(host.connector, "client", None)
        if client:
            client.exec_command = reading(client.exec_command)
        transport = client.get_transport() if client else None
        # Behind a jump host this is a channel of another connection, without such an option.
        if transport and isinstance(transport.sock, socket.socket):
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def reading(run: Callable[..., Any]) -> Callable[..., Any]:
    """An SSH client's exec_command, with its output as `Lines`."""

    def exec_command(*arguments: Any, **options: Any) -> tuple[Any, Lines, Lines]:
        stdin, stdout, _ = run(*arguments, **options)
        channel = stdout.channel
        errors = Lines(channel, channel.makefile_stderr("rb"))
        return stdin, Lines(channel, channel.makefile("rb")), errors

    return exec_command


def install(state: Any, *, check: bool, inventory: str) -> None:
    """Act once pyinfra has its inventory, and before it connects; `check` makes the plan then.

    pyinfra runs config.py before it reads the inventory, and takes callbacks only after, so the
    one moment in between is the end of State.init.
    """
    # Its data and its ssh_key are looked for beside it.
    state.cwd = str(directory(inventory).resolve())
    initialise = state.init

    def init(*arguments: Any, **options: Any) -> None:
        initialise(*arguments, **options)
        state.add_callback_handler(Connected())
        if state.limit_hosts == [] and len(state.inventory):
            there = ", ".join(host.name for host in state.inventory)
            raise CliError(f"no host is left by --limit or --exclude; hosts: {there}")
        if check:
            if note := toolkit.mismatch(directory(inventory)):
                click.echo(f"Note: {note}.", err=True)
            try:
                plan.make(state.inventory, inventory)
            except SettingsError as error:
                raise CliError(str(error)) from None

    state.init = init
    # It asks the stack at each operation for files and lines; their text would take a quarter of a
    # run's own time.
    pyinfra.api.util.stack = functools.partial(inspect.stack, 0)
    pyinfra.api.util.getframeinfo = functools.partial(inspect.getframeinfo, context=0)
    set_echo(_echo)
    logging.getLogger("pyinfra").addFilter(_make_harmless)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupted)


def _echo(message: Any = None, **options: Any) -> None:
    """What a Mac says, as pyinfra prints it under `-v` and when something fails."""
    click.echo(harmless(str(message), keep="\n", colours=True), **options)


def _make_harmless(record: logging.LogRecord) -> bool:
    """The same in pyinfra's log, which quotes command lines and outputs."""
    if isinstance(record.msg, str):
        record.msg, record.args = record.getMessage(), ()
        record.msg = harmless(record.msg, keep="\n", colours=True)
    return True


def _interrupted(*_: object) -> None:
    """pyinfra would wait until all hosts are through with what they do, and exit with 0.

    What a Mac does for a connection ends with it, and the next run goes on from there.
    """
    print("\nInterrupted: the Macs stop what they do; the next run goes on from there.", flush=True)
    os._exit(130)
