"""All connections of one proxy: what they share, how many there are, and how they end."""

import asyncio
import secrets
from contextlib import suppress
from ssl import SSLContext

from proxy.engine.body_memory import BodyMemory
from proxy.engine.client_connection import ClientConnection
from proxy.engine.connection_shares import ConnectionShares
from proxy.engine.file_transfers import Transfers
from proxy.engine.interfaces import Counted
from proxy.engine.listening_sockets import BACKLOG, listeners, text
from proxy.engine.time_slices import TimeSlices
from proxy.engine.tls_handshake import SecureServer
from proxy.engine.upstream_key import UpstreamKey
from proxy.engine.upstream_pool import LLAMA_SWAP, Behind, Pool
from proxy.engine.upstream_queries import UpstreamQueries
from proxy.exchange import Policy
from proxy.limits import Limits

MOST_REFUSED = 64  # connections beyond the limit, on their way out


class Engine:
    """Serves one policy in front of one llama-swap. Made within a running event loop."""

    def __init__(
        self, policy: Policy, host: str, port: int, limits: Limits | None = None,
        key: UpstreamKey | None = None, behind: Behind = LLAMA_SWAP,
    ) -> None:  # fmt: skip
        self.policy = policy
        self.limits = limits or Limits()
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time()  # to the second: what deadlines are set from
        self.ending = False
        seconds = self.limits.connect_seconds
        self.pool = Pool(host, port, connect_seconds=seconds, key=key, behind=behind)
        self.looks = UpstreamQueries(self.pool)
        self.transfers = Transfers(self.limits)
        self.crowd = ConnectionShares(self.limits)
        self.turns = TimeSlices(self.loop)
        self.holdings = BodyMemory(self.limits.held_of_one, self.limits.held_of_all)
        self.sent = BodyMemory(self.limits.sent_of_one, self.limits.sent_of_all)
        self._servers: list[asyncio.Server | SecureServer] = []
        self._prefix = secrets.token_hex(4)
        self._count = 0
        self._empty = asyncio.Event()  # no open request, at the end
        self._gone = asyncio.Event()  # no connection
        self._clock = self.loop.call_later(self.limits.clock_seconds, self._tick)

    async def listen(self, host: str, port: int, ssl: SSLContext | None = None) -> tuple[str, int]:
        """Takes connections; where that is in words, and the port chosen if it was 0."""
        sockets = listeners(host, port)
        where, chosen = text(sockets), sockets[0].getsockname()[1]
        if ssl is not None:
            self._servers.append(SecureServer(self, ssl, sockets))
            return where, chosen
        for each in sockets:
            self._servers.append(
                await self.loop.create_server(
                    lambda: ClientConnection(self), sock=each, backlog=BACKLOG
                )
            )
        return where, chosen

    async def finish(self, limit: float) -> int:
        """Begins no more requests, gives the open ones `limit` seconds; how many were broken off.

        Not so the files: who fetches one goes on later from where it was. Until then connections
        are still taken, for whoever comes now is to be told 503, and when to come back.
        """
        self.ending = True
        files = self.transfers.close()
        if any(client.transaction for client in self.clients):
            with suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await self._empty.wait()
        left = [client for client in self.clients if client.transaction]
        self.close()
        return files + len(left)

    def close(self) -> None:
        """Ends everything now; what was written to idle clients still goes out."""
        self._clock.cancel()
        for server in self._servers:
            server.close()
        for client in list(self.clients):
            client.close()
        self.pool.close()

    async def closed(self, limit: float) -> None:
        """Waits until all is sent, or for `limit` seconds."""
        self._gone.clear()
        if self.clients:
            with suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await self._gone.wait()

    def new_id(self) -> str:
        """A name for a request, to be found in the log."""
        self._count += 1
        return f"{self._prefix}{self._count:06x}"

    # -- What connections report

    @property
    def clients(self) -> set[Counted]:
        """All connections, also those on their way out."""
        return self.crowd.members

    def enter(self, client: Counted) -> bool:
        """One connection more; False if it is one too many."""
        if not self.clients and not self.ending:
            self._wake()
        return self.crowd.enter(client, self.now)

    def know(self, client: Counted) -> None:
        """A good key came on it."""
        self.crowd.know(client, self.now)

    def is_flooded(self) -> bool:
        """Whether there are even too many connections that are only told so."""
        return self.crowd.leaving > MOST_REFUSED

    def leave(self, client: Counted) -> None:
        """One connection less."""
        self.crowd.leave(client, self.now)
        if not self.clients:
            self._gone.set()

    def over(self) -> None:
        """One request less."""
        if self.ending and not any(client.transaction for client in self.clients):
            self._empty.set()

    def _wake(self) -> None:
        """The clock goes slowly while nobody is connected; the first who comes sets it right."""
        self.now = self.loop.time()
        self._clock.cancel()
        self._clock = self.loop.call_later(self.limits.clock_seconds, self._tick)
        self.pool.tick(self.now)

    def _tick(self) -> None:
        self.now = self.loop.time()
        seconds = self.limits.clock_seconds if self.clients else self.limits.idle_clock_seconds
        self._clock = self.loop.call_later(seconds, self._tick)
        for client in list(self.clients):
            client.tick(self.now)
        self.crowd.tick(self.now)
        self.transfers.tick()
        self.pool.tick(self.now)
