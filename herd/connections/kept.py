"""A connection that a verb keeps while it goes on: made once, and again when it has ended."""

import time
from typing import Any

from paramiko import SSHException
from pyinfra.api import Host
from pyinfra.api.exceptions import ConnectError, PyinfraError

from herd.connections.remote import Remote, Silent, identity, who_is
from herd.core.gateway.fleet import Gateway
from herd.core.settings.schema import Settings
from herd.facts import gathered

AGAIN = 10.0
"""Seconds after which a host that could not be connected to is tried again."""


class Kept:
    """One host; whoever uses it asks for `remote` each time."""

    def __init__(
        self, host: Host, settings: Settings, inventory: str, gateway: Gateway | None
    ) -> None:
        self.host, self.settings, self.gateway = host, settings, gateway
        self._inventory = inventory
        self._remote: Remote | None = None
        self._failed: tuple[float, Silent] | None = None

    def remote(self) -> Remote:
        """Connected. Raises Silent with the reason when it cannot be."""
        if self._remote and self._lives():
            return self._remote
        if self._failed and time.monotonic() - self._failed[0] < AGAIN:
            raise self._failed[1]
        try:
            self._remote = self._connect()
        except Silent as error:
            self._failed = (time.monotonic(), error)
            raise
        self._failed = None
        return self._remote

    def lines(self, command: Any) -> list[str]:
        """What a command there prints. Raises Silent when it does not come to its end."""
        remote = self.remote()
        try:
            ok, said = remote.run(command)
        except (PyinfraError, SSHException, EOFError, OSError) as error:
            raise Silent(f"lost: {error or 'the connection ended'}") from None
        if not ok and not self._lives():
            raise Silent("lost: the connection ended")
        return said

    def end(self) -> None:
        """Disconnect, if it is connected."""
        if self.host.connected:
            self.host.disconnect()

    def _connect(self) -> Remote:
        host, state = self.host, self.host.state
        self._remote = None
        try:
            self.end()
            host.connect(show_errors=False, raise_exceptions=True)
        except ConnectError as error:
            raise Silent(str(error.args[0])) from None
        except (SSHException, EOFError, OSError) as error:
            raise Silent(f"cannot connect: {error or type(error).__name__}") from None
        # One that failed before is asked like any other.
        state.failed_hosts.discard(host)
        state.activate_host(host)
        gathered.of(host).forget(None)
        mac = identity(host, who_is(self.settings))
        return Remote(host, self.settings, mac, self._inventory, self.gateway)

    def _lives(self) -> bool:
        client = getattr(self.host.connector, "client", None)
        transport = client.get_transport() if client else None
        return self.host.connected and (client is None or bool(transport and transport.is_active()))
