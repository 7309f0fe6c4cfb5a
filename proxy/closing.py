"""How a client's connection ends, where that is more than to close it."""

import asyncio
import select
import socket
import struct

RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 seconds
GONE = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


def reset(transport: asyncio.Transport) -> None:
    """Ends it at once, and so that the client cannot take it for a good end.

    An answer in HTTP/1.0 may end with its connection, where only this tells the difference.
    """
    peer = transport.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    transport.abort()


def end_sending(transport: asyncio.Transport) -> None:
    """Tells the client that nothing more will come, while it may still be heard."""
    if transport.can_write_eof():
        transport.write_eof()


def has_left(transport: asyncio.Transport) -> bool:
    """Whether a client that is not read from has left; it would go unnoticed."""
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), GONE)
    return bool(poll.poll(0))
