"""The pool of connections to llama-swap: idle ones are used again, new ones made as needed."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from proxy.engine.upstream_connection import Connection
from proxy.engine.upstream_key import UpstreamKey

MOST_IDLE = 64
IDLE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Behind:
    """What listens at the other end."""

    name: str
    key_of: str
    """Who wants to be shown our key."""
    repeats: bool
    """Whether a POST may be sent a second time, if its connection was closed before a byte of an
    answer. HAProxy closes idle ones at a reload, and from 3.0 on in this way what a server has had
    that is taken out (`on-marked-down shutdown-sessions`)."""


LLAMA_SWAP = Behind("llama-swap", "llama-swap", repeats=False)
HAPROXY = Behind("HAProxy", "a server of the herd", repeats=True)


class Waiter(Protocol):
    """Who needs a connection, and did not get one at once."""

    def connected(self, connection: Connection) -> None:
        """Here it is."""

    def not_connected(self, why: str) -> None:
        """There will be none."""


class Pool:
    """The idle connections to one address, and new ones."""

    def __init__(
        self, host: str, port: int, *, connect_seconds: float, key: UpstreamKey | None = None,
        behind: Behind = LLAMA_SWAP,
    ) -> None:  # fmt: skip
        self.loop = asyncio.get_running_loop()
        self._address = host, port
        name = f"[{host}]" if ":" in host else host
        self.host = f"{name}:{port}".encode()  # as a request names it
        self.key = key or UpstreamKey()
        self.behind = behind
        self._connect_seconds = connect_seconds
        self.idle: list[Connection] = []  # the longest idle first
        self._connecting: dict[Waiter, asyncio.Task[None]] = {}

    def acquire(self, waiter: Waiter) -> Connection | None:
        """An idle connection; or None, and the waiter's `connected` or `not_connected` follows."""
        while self.idle:
            connection = self.idle.pop()
            if connection.is_fresh():
                return connection
            connection.close()
        self.connect(waiter)
        return None

    def connect(self, waiter: Waiter) -> None:
        """A new connection, for a waiter that must not get one that waited."""
        self._connecting[waiter] = asyncio.create_task(self._connect(waiter))

    def forget(self, waiter: Waiter) -> None:
        """The waiter no longer waits for a connection."""
        if task := self._connecting.pop(waiter, None):
            task.cancel()

    async def _connect(self, waiter: Waiter) -> None:
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, connection = await self.loop.create_connection(
                    lambda: Connection(self), *self._address
                )
        except OSError as error:  # TimeoutError is one
            if self._connecting.pop(waiter, None):
                waiter.not_connected(type(error).__name__)
            return
        if self._connecting.pop(waiter, None):
            waiter.connected(connection)
        else:
            connection.close()

    def put(self, connection: Connection) -> None:
        """Back, and idle."""
        if len(self.idle) >= MOST_IDLE:
            connection.close()
            return
        connection.since = self.loop.time()
        self.idle.append(connection)

    def drop(self, connection: Connection) -> None:
        """It ended."""
        if connection in self.idle:
            self.idle.remove(connection)

    def tick(self, now: float) -> None:
        """Ends what has been idle for long, the longest idle first; sees a key that changed."""
        self.key.look()
        while self.idle and now - self.idle[0].since > IDLE_SECONDS:
            self.idle.pop(0).close()

    def close(self) -> None:
        """Ends all idle connections, and those that are being made."""
        for task in self._connecting.values():
            task.cancel()
        while self.idle:
            self.idle.pop().close()
