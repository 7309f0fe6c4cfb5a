"""How ssh reaches a host by its name in the inventory, which may be an alias of ~/.ssh/config."""

import subprocess
from contextlib import suppress
from typing import Any, NamedTuple

import paramiko.config
from pyinfra.connectors.sshuserclient.client import get_ssh_config
from pyinfra.connectors.sshuserclient.config import SSHConfig

# What paramiko tells apart (ssh_config(5), "Match"); what else there is, as "tagged" and
# "localnetwork", would match every host.
_CRITERIA = {"all", "canonical", "final", "host", "originalhost", "user", "localuser", "exec"}


class _Shell:
    """`Match exec`, for which pyinfra's own has the shell look for a script of the command's name
    (`$SHELL COMMAND`)."""

    class Result(NamedTuple):
        ok: bool

    @staticmethod
    def run(command: str, *_: Any, **__: Any) -> Result:
        quiet = subprocess.DEVNULL
        done = subprocess.run(
            ["/bin/sh", "-c", command], stdin=quiet, stdout=quiet, stderr=quiet, check=False
        )
        return _Shell.Result(done.returncode == 0)


def _known(matches: Any) -> Any:
    def does_match(self: Any, match_list: list[dict[str, Any]], *rest: Any) -> Any:
        unknown = any(each["type"] not in _CRITERIA for each in match_list)
        return False if unknown else matches(self, match_list, *rest)

    return does_match


paramiko.config.invoke = _Shell  # type: ignore[attr-defined]
SSHConfig._does_match = _known(SSHConfig._does_match)  # type: ignore[attr-defined]


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
