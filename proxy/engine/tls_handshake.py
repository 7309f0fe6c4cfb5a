"""Connections before there is TLS on them: counted, bounded in time, and then like all others.

The event loop's own server can do handshakes, but tells of a connection only behind them: whoever
never finishes one would be counted nowhere.
"""

import asyncio
import logging
import socket
import ssl
from contextlib import suppress

from proxy.engine.client_address import source_of
from proxy.engine.client_connection import ClientConnection
from proxy.engine.interfaces import Server

_log = logging.getLogger("proxy.handshake")

PAUSE_SECONDS = 0.1  # when no connection can be taken
TELL_SECONDS = 60.0  # between two lines in the log about that


class SecureConnection(ClientConnection):
    """A client's connection with TLS on it."""

    def __init__(self, engine: Server, handshake: "Handshake") -> None:
        super().__init__(engine)
        self._handshake = handshake

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.engine.leave(self._handshake)
        super().connection_made(transport)


class Handshake:
    """One that has begun; counts as a client."""

    transaction = None
    spare = True

    def __init__(
        self, engine: Server, context: ssl.SSLContext, peer: socket.socket, address: str
    ) -> None:
        self._engine = engine
        self._peer = peer
        self.source = source_of(address)
        if engine.enter(self):
            self._task = engine.loop.create_task(self._run(context, peer))
        else:
            peer.close()  # nothing can be said before there is TLS
            engine.leave(self)

    async def _run(self, context: ssl.SSLContext, peer: socket.socket) -> None:
        engine, limits = self._engine, self._engine.limits
        try:
            # asyncio does this by itself only for sockets that it made.
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await engine.loop.connect_accepted_socket(
                lambda: SecureConnection(engine, self),
                peer,
                ssl=context,
                ssl_handshake_timeout=limits.handshake_seconds,
                # For all that is left to send when the connection is closed, and for the goodbye.
                ssl_shutdown_timeout=engine.limits.send_seconds,
            )
        except OSError:  # no TLS, too slow, or gone
            pass
        finally:
            engine.leave(self)

    def tick(self, now: float) -> None:
        """The event loop looks after the time."""

    def make_room(self) -> None:
        """Ends it at once; the event loop reads the end, as if the client had left."""
        with suppress(OSError):  # it has left
            self._peer.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Ends it."""
        self._task.cancel()


class SecureServer:
    """Takes connections from sockets that listen, as asyncio.Server does."""

    def __init__(
        self, engine: Server, context: ssl.SSLContext, sockets: list[socket.socket]
    ) -> None:
        self._engine = engine
        self._context = context
        self._sockets = sockets
        self._tasks = [engine.loop.create_task(self._accept(listener)) for listener in sockets]

    async def _accept(self, listener: socket.socket) -> None:
        told = -TELL_SECONDS
        while True:
            try:
                peer, address = await self._engine.loop.sock_accept(listener)
            except OSError as error:  # no more file descriptors, or the client is gone already
                if (now := self._engine.loop.time()) - told >= TELL_SECONDS:
                    told = now
                    _log.warning("cannot take connections: %s", error.strerror)
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                Handshake(self._engine, self._context, peer, address[0])

    def close(self) -> None:
        """Takes no more connections."""
        for task in self._tasks:
            task.cancel()
        for listener in self._sockets:
            listener.close()
