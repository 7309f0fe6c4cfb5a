"""What takes over this terminal for one Mac: its stack in the foreground, its dashboard."""

import os
import shlex
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress

from herd import plan
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
    """llama-swap's own pages, through a tunnel: they are on the Mac's loopback only."""
    state, chosen = hosts(inventory, limits)
    host = only(chosen)
    port = plan.settings_of(state.inventory)[host.name].llama_swap_port
    if host.name.startswith("@local"):
        print(f"http://127.0.0.1:{port}/ui/")
        return
    here = _free_port(port)
    print(f"http://127.0.0.1:{here}/ui/ shows {host.name} until Ctrl+C.")
    options = ("-N", "-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{here}:127.0.0.1:{port}")
    _become(ssh_command(host, *options))


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
