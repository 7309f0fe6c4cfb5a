"""`make dashboard`: llama-swap's own pages of one Mac, behind the proxy's login."""

import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from herd import plan
from herd.connections.here import is_here
from herd.connections.remote import RemoteError, hosts, only, ssh_command
from herd.core.mac.endpoints import local_gateway, local_proxy, public_gateway, public_proxy
from herd.core.settings.schema import Settings
from herd.verbs.run import become
from herd.workstation import api_keys
from herd.workstation.typed_commands import command


def dashboard(inventory: str, limits: Sequence[str]) -> None:
    """llama-swap's own pages, behind the proxy's login: what a browser can reach without one, each
    page open in it can. Without TLS they come through a tunnel, as the key does."""
    state, chosen = hosts(inventory, limits)
    host = only(chosen)
    settings = plan.settings_of(state.inventory)[host.name]
    log_in = f"Log in with {_administrators(settings, api_keys.beside(inventory))}."
    public, local, page = public_proxy, local_proxy, "/ui/"
    if not settings.serves:  # a gateway has HAProxy's
        public, local, page = public_gateway, local_gateway, "/haproxy"
    if settings.proxy_tls_certificate or is_here(host):
        print(f"{public(settings, plan.address(host))}{page} shows {host.name}. {log_in}")
        return
    here, there = _free_port(settings.proxy_port), local(settings).removeprefix("http://")
    print(f"http://127.0.0.1:{here}{page} shows {host.name} until Ctrl+C. {log_in}")
    options = ("-N", "-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{here}:{there}")
    become(ssh_command(host, *options))


def _administrators(settings: Settings, config: Path) -> str:
    """Whose keys open the dashboard. Raises RemoteError when nobody's does."""
    try:
        names = api_keys.shipped(settings, config).administrators
    except ValueError as error:
        raise RemoteError(f"{error}: {api_keys.how_to_mend(config)}") from None
    if not names:
        how = command("key", NAME="...", ARGS="--scopes admin,inference")
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
