"""The sockets that take connections: one for each family that an address stands for.

An IPv6 socket takes no IPv4 here, whatever the system's default is: so `::` is both families by two
sockets, and a client's address is what it is everywhere.
"""

import errno
import socket
from collections.abc import Sequence

BACKLOG = 1024
EVERYWHERE = "::"
TRIES = 10  # to find a port that is free in both families, if any will do
_NO_FAMILY = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT}


def listeners(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen there; OSError if they cannot.

    `::` is all addresses, of IPv6 as far as the system has it; `0.0.0.0` all of IPv4; a name is
    what it resolves to; anything else is that address.
    """
    if host != EVERYWHERE:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return _open([(family, str(address[0]), port) for family, _, _, _, address in found])
    for _ in range(TRIES - 1):
        try:
            return _everywhere(port)
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE:
                raise
    return _everywhere(port)


def _everywhere(port: int) -> list[socket.socket]:
    [four] = _open([(socket.AF_INET, "0.0.0.0", port)])
    try:
        return [four, *_open([(socket.AF_INET6, "::", four.getsockname()[1])])]
    except OSError as error:
        if error.errno in _NO_FAMILY:
            return [four]
        four.close()
        raise


def _open(wanted: Sequence[tuple[int, str, int]]) -> list[socket.socket]:
    opened: list[socket.socket] = []
    try:
        for family, host, port in dict.fromkeys(wanted):
            opened.append(socket.create_server((host, port), family=family, backlog=BACKLOG))
            opened[-1].setblocking(False)
    except OSError:
        for each in opened:
            each.close()
        raise
    return opened


def text(sockets: list[socket.socket]) -> str:
    """Where they listen."""
    names = [each.getsockname()[:2] for each in sockets]
    return " and ".join(
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in names
    )


def plain_address(host: str) -> str:
    """A client's address; of IPv4, if it only came by a socket of IPv6."""
    mapped = host.removeprefix("::ffff:")
    return mapped if "." in mapped else host
