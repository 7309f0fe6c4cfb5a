"""HAProxy's agent check: who connects is told one line, at once, and that is all.

No key is asked for and nothing secret is said, so what strangers can take is bounded: a few
connections, for a moment each.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from proxy.engine.listening_sockets import listeners, text

MOST = 32
SECONDS = 2.0
"""How long one may stay that has been told."""


class Agent:
    """Listens, and tells `line`."""

    def __init__(self, line: Callable[[], str]) -> None:
        self.line = line
        self.open: set[asyncio.Transport] = set()
        self._servers: list[asyncio.Server] = []

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Takes connections; where that is in words, and the port chosen if it was 0."""
        loop = asyncio.get_running_loop()
        sockets = listeners(host, port)
        where, chosen = text(sockets), sockets[0].getsockname()[1]
        for each in sockets:
            self._servers.append(await loop.create_server(lambda: _Told(self), sock=each))
        return where, chosen

    def close(self) -> None:
        """Ends it."""
        for server in self._servers:
            server.close()
        for transport in list(self.open):
            transport.abort()


class _Told(asyncio.Protocol):
    """One connection. What it says (`agent-send`) is read, so that closing resets nothing."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._transport: asyncio.Transport
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)
        if len(self._agent.open) >= MOST:
            transport.abort()
            return
        self._agent.open.add(transport)
        self._end = asyncio.get_running_loop().call_later(SECONDS, transport.abort)
        transport.write(f"{self._agent.line()}\n".encode("ascii", "replace"))
        transport.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self._agent.open.discard(self._transport)
        if self._end is not None:
            self._end.cancel()
