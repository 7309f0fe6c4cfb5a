"""What pyinfra calls around a connection; config.py registers it.

Before the first connection, the settings of all hosts are checked together: deploy code runs
host by host, so the first bad host would hide the problems of the others.
"""

import socket
from threading import Lock
from typing import Any

import click
from pyinfra.api import Host, State
from pyinfra.api.state import BaseStateCallback

from herd import plan
from herd.core.problems import SettingsError


class Connected(BaseStateCallback):
    """A connection without delays."""

    @staticmethod
    def host_connect(state: State, host: Host) -> None:
        """Send small packets at once.

        pyinfra's SSH client leaves Nagle's algorithm on: 44 of a command's 48 ms are waiting.
        """
        client = getattr(host.connector, "client", None)
        transport = client.get_transport() if client else None
        # Behind a jump host this is a channel of another connection, without such an option.
        if transport and isinstance(transport.sock, socket.socket):
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Checked(BaseStateCallback):
    """The plan of the run, made once, before the first host is connected to."""

    _lock = Lock()
    _plan: plan.Plan | None = None
    _refused = False

    @classmethod
    def host_before_connect(cls, state: State, host: Host) -> None:
        """End the run with one report of everything that is wrong, for all hosts."""
        with cls._lock:  # hosts connect side by side
            if cls._plan or cls._refused:
                return
            try:
                cls._plan = plan.make(state.inventory)
            except SettingsError as error:
                cls._refused = True
                click.echo(f"\n{error}\n", err=True)
                raise SystemExit(1) from None

    @classmethod
    def plan(cls) -> plan.Plan:
        """The plan that was made."""
        if cls._plan is None:
            raise RuntimeError("run pyinfra in the directory of config.py, which makes the plan")
        return cls._plan


def install(state: Any, *, check: bool) -> None:
    """Have pyinfra call us; with `check`, refuse to connect before the settings are right."""
    state.add_callback_handler(Connected())
    if check:
        state.add_callback_handler(Checked())
