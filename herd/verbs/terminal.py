"""What takes over this terminal for one Mac: its stack in the foreground, its dashboard."""

import os
import shlex
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress

from herd import keys, plan
from herd.core.endpoints import local_proxy, public_proxy
from herd.core.settings import Settings
from herd.remote import Remote, RemoteError, hosts, only, ssh_command


def foreground(remotes: Sequence[Remote]) -> None:
    """Run the stack of one Mac in this terminal; Ctrl+C stops both services."""
    remote: Remote = only(remotes)
    command = remote.layout.start_command
    if remote.host.name.startswith("@local"):
        _become([command])
    # A terminal even where there is none here: what hangs up there, when the connection ends.
    _become([*ssh_command(remote.host, "-tt"), shlex.quote(command)])


def dashboard(inventory: str, limits: Sequence[str]) -> None:
    """llama-swap's own pages, behind the proxy's login: what a browser can reach without one, each
    page open in it can. Without TLS they come through a tunnel, as the key does."""
    state, chosen = hosts(inventory, limits)
    host = only(chosen)
    settings = plan.settings_of(state.inventory)[host.name]
    log_in = f"Log in with {_administrators(settings)}."
    if settings.proxy_tls_certificate or host.name.startswith("@local"):
        print(f"{public_proxy(settings, plan.address(host))}/ui/ shows {host.name}. {log_in}")
        return
    here, there = _free_port(settings.proxy_port), local_proxy(settings).removeprefix("http://")
    print(f"http://127.0.0.1:{here}/ui/ shows {host.name} until Ctrl+C. {log_in}")
    options = ("-N", "-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{here}:{there}")
    _become(ssh_command(host, *options))


def _administrators(settings: Settings) -> str:
    """Whose keys open the dashboard. Raises RemoteError when nobody's does."""
    try:
        names = keys.shipped(settings).administrators
    except ValueError as error:
        raise RemoteError(f"{error}: {keys.how_to_mend()}") from None
    if not names:
        how = "make key NAME=... ARGS='--scopes admin,inference'"
        raise RemoteError(
            f"no key of this host has the scope admin, which opens it: `{how}`, deploy"
        )
    return f"the key of {' or '.join(names)}"


def _free_port(wanted: int) -> int:
    """That port of this workstation, or another if it is taken, as by a stack of its own."""
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise RemoteError("this workstation has no free port")


def _become(command: Sequence[str]) -> None:
    """Become this command, with our terminal."""
    sys.stdout.flush()
    os.execvp(command[0], list(command))
