"""How ssh reaches a host by its name in the inventory, which may be an alias of ~/.ssh/config."""

from contextlib import suppress
from typing import Any, NamedTuple

from pyinfra.connectors.sshuserclient.client import get_ssh_config


class SshHost(NamedTuple):
    """The address and port that ssh connects to; `jump` says by what, if not directly."""

    address: str
    port: int
    jump: str = ""

    @property
    def place(self) -> tuple[str, int]:
        """By which one Mac is told from another."""
        return self.address, self.port


def look(name: str, *, port: Any = None, file: str | None = None) -> SshHost:
    """By the very reading of the configuration that a deploy connects by; `port` is the
    inventory's, `file` another configuration than ~/.ssh/config."""
    found: dict[str, Any] = {}
    with suppress(Exception):  # who connects says what is wrong with it
        configuration = get_ssh_config(file)
        found = configuration.lookup(name) if configuration else {}
    jump = ""
    for option, words in (("proxyjump", "ProxyJump"), ("proxycommand", "ProxyCommand")):
        if (value := str(found.get(option, "none"))).lower() != "none":
            jump = jump or f"{words} {value}"
    given = port or found.get("port") or 22
    return SshHost(
        str(found.get("hostname", name)), int(given) if str(given).isdigit() else 22, jump
    )
