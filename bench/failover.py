"""What a herd loses when one of its Macs fails: `python bench/failover.py`. Linux only.

Four Macs behind a gateway, under load that three can bear; one of them is killed, loses its
network (its ends stay open, and nothing passes any more), or hangs: all is up, and no token comes.
Of what fails there are the streams that this Mac had begun, which nobody can take over, and others,
of which there should be none; beside them, the longest that anybody waited for a first byte.
HAProxy and the watchdog take their usual times, but a token is waited for 4 seconds and not 60.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.gateway_parts import Fleet, Paced, Slots, until_served
from bench.proxy_load import QUESTION, events
from bench.proxy_peers import Peer

MACS, SLOTS, CLIENTS, TOKENS, RATE = 4, 4, 10, 20, 20
BEFORE, AFTER = 3.0, 20.0
"""Seconds of load before and after the fault."""
RUNNING = json.dumps({"running": [{"model": "m", "state": "ready"}]}).encode()


class Server(Slots):
    """The llama-swap of a Mac, and its connections."""

    def __init__(self) -> None:
        super().__init__(SLOTS)
        self.hangs = False
        self.open: set[Connection] = set()

    async def listen(self) -> int:
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: Connection(self), "127.0.0.1", 0)
        return int(self.server.sockets[0].getsockname()[1])

    def kill(self) -> None:
        """As a process that is gone: connections are reset, and nobody listens."""
        self.server.close()
        for connection in list(self.open):
            connection.transport.abort()


class Connection(Paced):
    """What is asked of it: questions of clients, and those of the proxy's watchdog."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._server.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.open.discard(self)

    def data_received(self, data: bytes) -> None:
        if data.startswith((b"GET /running", b"GET /upstream")):
            told = RUNNING if data.startswith(b"GET /running") else b"[]"
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(told) + told
            )
        elif data.startswith(b"POST /upstream"):
            if not self._server.hangs:
                self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        else:
            super().data_received(data)

    def _begin(self, whole: bytes) -> None:
        if not self._server.hangs:
            super()._begin(whole)

    def token(self, number: int, count: int, pause: float, due: float) -> None:
        if not self._server.hangs:
            super().token(number, count, pause, due)


class Wire:
    """The network of a Mac: a relay, which can go dark."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lit = asyncio.Event()
        self._lit.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> int:
        # With no room for callers that nobody takes, a dark one does not answer the next SYN.
        self.server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=1)
        return int(self.server.sockets[0].getsockname()[1])

    def darken(self) -> None:
        """Nothing passes any more, and nobody is told."""
        self._lit.clear()
        for server in self.server.sockets:
            asyncio.get_running_loop().remove_reader(server.fileno())

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError):  # at the end
            await self._lit.wait()
            try:
                far, away = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                writer.transport.abort()  # nobody listens there
                return
            await asyncio.gather(self._carry(reader, away), self._carry(far, writer))

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                await self._lit.wait()
                sink.write(data)
                await sink.drain()
        await self._lit.wait()
        sink.close()


@dataclass
class Victim:
    """The Mac that fails, and its ways of it."""

    mac: Peer
    server: Server
    wires: list[Wire] = field(default_factory=list)

    async def wired(self) -> Peer:
        """As the gateway reaches it."""
        assert self.mac.agent is not None
        self.wires = [Wire(self.mac.port), Wire(self.mac.agent)]
        port, agent = [await wire.listen() for wire in self.wires]
        return replace(self.mac, port=port, agent=agent)

    def killed(self) -> None:
        self.mac.process.kill()
        self.server.kill()

    def dark(self) -> None:
        for wire in self.wires:
            wire.darken()

    def stuck(self) -> None:
        self.server.hangs = True


FAULTS: dict[str, Callable[[Victim], None]] = {
    "killed": Victim.killed,
    "no network": Victim.dark,
    "no token": Victim.stuck,
}


@dataclass
class Outcome:
    """What became of all requests."""

    whole: int = 0
    begun: list[str] = field(default_factory=list)
    """Streams that broke off, by the Mac that had begun them."""
    others: list[str] = field(default_factory=list)
    """What else failed, with the reason."""
    longest: float = 0.0
    """Seconds to a first byte."""


async def ask(
    session: aiohttp.ClientSession, url: str, number: int, until: float, told: Outcome
) -> None:
    """One client, who asks again as soon as it is answered."""
    turn = 0
    while time.monotonic() < until:
        turn += 1
        began, by = time.monotonic(), ""
        more = {"X-Bench": f"{TOKENS} {RATE}", "X-Session-Id": f"{number}-{turn}"}
        try:
            async with session.post(url, data=QUESTION, headers=more) as response:
                if response.status != 200:
                    told.others.append(f"{response.status} {(await response.text())[:80]}")
                    continue
                told.longest = max(told.longest, time.monotonic() - began)
                by = response.headers["X-Served-By"]
                body = await response.read()
                assert body == events(TOKENS), "a stream is not what was sent"
                told.whole += 1
        except (aiohttp.ClientError, TimeoutError) as error:
            if by:
                told.begun.append(by)
            else:
                told.others.append(repr(error))


async def measure(fault: str) -> Outcome:
    """One fault, and all that was asked meanwhile."""
    told = Outcome()
    with tempfile.TemporaryDirectory(prefix="herd-") as directory:
        fleet = Fleet(Path(directory), set())
        servers = [Server() for _ in range(MACS)]
        try:
            macs = [
                fleet.mac(f"mac{n}", await server.listen(), agent=True)
                for n, server in enumerate(servers)
            ]
            victim = Victim(macs[0], servers[0])
            front, _ = fleet.gateway([await victim.wired(), *macs[1:]], SLOTS, 64)
            await until_served(front.port, fleet.key)
            url = f"http://127.0.0.1:{front.port}/v1/chat/completions"
            until = time.monotonic() + BEFORE + AFTER
            headers = {
                "Authorization": f"Bearer {fleet.key}", "Content-Type": "application/json"
            }  # fmt: skip
            async with aiohttp.ClientSession(
                headers=headers, timeout=aiohttp.ClientTimeout(120)
            ) as session:
                asking = [ask(session, url, number, until, told) for number in range(CLIENTS)]
                running = asyncio.gather(*asking)
                await asyncio.sleep(BEFORE)
                FAULTS[fault](victim)
                await running
        finally:
            fleet.stop()
            for server in servers:
                server.server.close()
    return told


def main() -> None:
    """Measures, and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    print(f"{MACS} Macs with {SLOTS} slots each, {CLIENTS} clients.\n")
    print("| of a Mac | whole | its own streams | failed beyond | first byte, longest, s |")
    print("|---|--:|--:|--:|--:|")
    for _ in range(options.rounds):
        for fault in FAULTS:
            told = asyncio.run(measure(fault))
            others = [*told.others, *(f"begun by {by}" for by in told.begun if by != "mac0")]
            own = len(told.begun) - sum(by != "mac0" for by in told.begun)
            print(
                f"| {fault} | {told.whole} | {own} | {len(others)} | {told.longest:.1f} |",
                flush=True,
            )
            for other in others:
                print(other, file=sys.stderr)


if __name__ == "__main__":
    main()
