"""HAProxy's agent check: who connects is told one line, and that is all.

What HAProxy says first (`agent-send`) is what it asks: `warm HEX PERCENT` is whether the model of
this name, in hexadecimal, is loaded, to be answered by a weight: 100%, or that percentage where it
is not. Anything else, or nothing for a while, is how the Mac is. No key is asked for and nothing
secret is said, so what strangers can take is bounded: a few connections, for a moment each; they
learn of a name that they know whether it is loaded, and no name.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import cast

from proxy.engine.listening_sockets import listeners, text

MOST = 32
SECONDS = 2.0
"""How long one may stay that has been told."""
SAYS_NOTHING_SECONDS = 1.0
"""After which who has not said a line is taken for one that says none: on a busy machine a line may
come a while after its connection."""
_LONGEST = 2048
_WARM = re.compile(rb"warm ((?:[0-9A-F]{2}){1,512}) (\d{1,3})\r?\n")


async def _all(name: str) -> bool:
    return True


class Agent:
    """Listens, and tells `line`, or whether a model `is_loaded`."""

    def __init__(
        self, line: Callable[[], str], is_loaded: Callable[[str], Awaitable[bool]] = _all
    ) -> None:
        self.line = line
        self.is_loaded = is_loaded
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

    async def answer(self, said: bytes) -> str:
        """To what HAProxy said."""
        asked = _WARM.match(said)
        if asked is None:
            return self.line()
        # HAProxy keeps what it is not told anew: how the Mac is, it has from the other question,
        # and a word of that which has come here by accident would hold for ever.
        try:
            name = bytes.fromhex(asked[1].decode()).decode()
        except UnicodeDecodeError:
            name = ""
        weight = 100 if await self.is_loaded(name) else min(100, int(asked[2]))
        return f"ready up {weight}%"

    def close(self) -> None:
        """Ends it."""
        for server in self._servers:
            server.close()
        for transport in list(self.open):
            transport.abort()


class _Told(asyncio.Protocol):
    """One connection. What it says is read to its end, so that closing resets nothing."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._transport: asyncio.Transport
        self._timers: list[asyncio.TimerHandle] = []
        self._task: asyncio.Task[None] | None = None
        self._said = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)
        if len(self._agent.open) >= MOST:
            transport.abort()
            return
        self._agent.open.add(transport)
        loop = asyncio.get_running_loop()
        self._timers = [
            loop.call_later(SECONDS, transport.abort),
            loop.call_later(SAYS_NOTHING_SECONDS, self._tell),
        ]

    def data_received(self, data: bytes) -> None:
        if self._task is None:
            self._said += data[:_LONGEST]
            if b"\n" in data or len(self._said) >= _LONGEST:
                self._tell()

    def eof_received(self) -> bool:
        self._tell()
        return True

    def _tell(self) -> None:
        if self._task is None and not self._transport.is_closing():
            self._task = asyncio.get_running_loop().create_task(self._told())

    async def _told(self) -> None:
        line = await self._agent.answer(self._said)
        if not self._transport.is_closing():
            self._transport.write(f"{line}\n".encode("ascii", "replace"))
            self._transport.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self._agent.open.discard(self._transport)
        for timer in self._timers:
            timer.cancel()
        if self._task is not None:
            self._task.cancel()
