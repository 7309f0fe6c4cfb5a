"""The ground that attacks are made on: one proxy for all of them, with the policy of the program,
and an upstream behind it that keeps every byte it gets.

Everything runs in one event loop, which turns only while `Ground.attack` does. A case is over when
nothing moves any more, so it costs about a millisecond and no waiting.
"""

import asyncio
import fcntl
import logging
import socket
import sys
import termios
import zlib
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from proxy.engine.engine import Engine
from proxy.exchange import Caller, Outcome, Reply, Request, Ticket
from proxy.policy.policy import HerdPolicy
from tests.proxy.support.policy import Desk
from tests.proxy.support.proxy import LOOP, LOOPS
from tests.proxy.support.strict import Message, Reading, requests, responses

T = TypeVar("T")

PATIENCE = 0.5  # seconds for a case that the proxy or the upstream hangs in
QUIET = 3  # turns of the loop in which nothing happens, until a case counts as over


def echo(start: str, body: bytes) -> bytes:
    """What the upstream answers to a request: no other request has the same answer."""
    return f"{start} {len(body)} {zlib.crc32(body)}".encode("latin-1")


class Tap(asyncio.Protocol):
    """One connection to the upstream: kept whole, read by the strict parser, answered at once."""

    def __init__(self, ground: "Ground") -> None:
        self._ground = ground
        self.received = b""
        self.answered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self._ground.taps.append(self)
        self._ground.moved += 1

    def data_received(self, data: bytes) -> None:
        self._ground.moved += 1
        self.received += data
        whole = requests(self.received).messages
        for message in whole[self.answered :]:
            self.answered += 1
            said = echo(message.start, message.body)
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(said)
            self.transport.write(head + (b"" if message.start.startswith("HEAD ") else said))

    def connection_lost(self, exc: Exception | None) -> None:
        self._ground.moved += 1


class Watched(HerdPolicy):
    """The real policy, and a list of whom it let in and what became of everything."""

    admitted: list[Request]
    over: list[tuple[Request, Outcome]]

    def admit(self, request: Request, caller: Caller, model: str | None) -> Ticket | Reply:
        ticket = super().admit(request, caller, model)
        if not isinstance(ticket, Reply):
            self.admitted.append(request)
        return ticket

    def done(self, request: Request, outcome: Outcome) -> None:
        super().done(request, outcome)
        self.over.append((request, outcome))


@dataclass
class Case:
    """What became of one connection's bytes."""

    sent: bytes
    got: bytes
    closed: bool
    upstream: list[Reading]
    """One for each connection to the upstream that something came over."""
    admitted: list[Request]
    over: list[tuple[Request, Outcome]]
    complaints: list[str]
    """What was logged as an error or a bug, and what the event loop could not handle."""
    logged: str
    """All that was logged."""

    @property
    def answers(self) -> Reading:
        """The answers, each to the request that it is for."""
        methods = [request.method for request, _ in self.over]
        reading = responses(self.got, methods)
        if reading.rest and b"HEAD " in self.sent:
            return responses(self.got, [*methods, "HEAD"])  # to a head of one that is none
        return reading

    @property
    def arrived(self) -> list[Message]:
        """The whole requests that the upstream got, but those of our own handlers."""
        found = [message for reading in self.upstream for message in reading.messages]
        return [message for message in found if message.all("X-Forwarded-For")]

    @property
    def statuses(self) -> list[int]:
        """Of the answers."""
        return [int(message.start) for message in self.answers.messages]


class Ground(logging.Handler):
    """A proxy and an upstream, and what is known about them."""

    def __init__(self, directory: Path) -> None:
        super().__init__(logging.DEBUG)
        self.directory = directory
        self.taps: list[Tap] = []
        self.moved = 0
        self._lines: list[str] = []
        self._complaints: list[str] = []
        self._runner = asyncio.Runner(loop_factory=LOOPS[LOOP])
        self.run(self._begin())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Turns the loop until this is done."""
        return self._runner.run(work)

    async def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self._complaints.append(str(context)))
        server = await loop.create_server(lambda: Tap(self), "127.0.0.1", 0)
        desk = Desk(self.directory / "config.json")
        self.policy = Watched(desk.state)
        self.policy.admitted, self.policy.over = [], []
        self._log = desk.log
        port = server.sockets[0].getsockname()[1]
        self.engine = Engine(self.policy, "127.0.0.1", port)
        _, self.port = await self.engine.listen("127.0.0.1", 0)

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))
        if record.levelno >= logging.ERROR or record.exc_info:
            self._complaints.append(self._lines[-1])

    def attack(self, *pieces: bytes) -> Case:
        """Sends these bytes over a connection of their own, each piece by itself."""
        return self.run(self._attack(pieces))

    async def _attack(self, pieces: Sequence[bytes]) -> Case:
        self._forget()
        loop = asyncio.get_running_loop()
        got: list[bytes] = []
        closed = False
        with socket.create_connection(("127.0.0.1", self.port)) as client:
            client.setblocking(False)

            async def settle(turns: int) -> None:
                nonlocal closed
                quiet = 0
                limit = loop.time() + PATIENCE
                while quiet < turns and loop.time() < limit:
                    before = self.moved
                    await asyncio.sleep(0)
                    try:
                        while data := client.recv(262144):
                            got.append(data)
                            self.moved += 1
                        closed = True
                    except BlockingIOError:
                        pass
                    except ConnectionError:
                        closed = True
                    busy = not closed and (on_the_way(client) or self._busy())
                    quiet = quiet + 1 if self.moved == before and not busy else 0

            for piece in pieces:
                try:
                    await asyncio.wait_for(loop.sock_sendall(client, piece), 5)
                except ConnectionError:
                    break
                await settle(2 if piece is not pieces[-1] else QUIET)
        await settle_gone(self.engine)
        readings = [requests(tap.received) for tap in self.taps if tap.received]
        return Case(
            b"".join(pieces), b"".join(got), closed, readings, list(self.policy.admitted),
            list(self.policy.over), list(self._complaints), self._said(),
        )  # fmt: skip

    def _busy(self) -> bool:
        """Whether the proxy has something to do still."""
        for client in self.engine.clients:
            inside = client.transport.get_extra_info("socket")
            if client.transport.is_closing() or inside.fileno() < 0:
                return True
            if to_be_read(inside) or on_the_way(inside):
                return True
            if client.transaction is not None and client.transaction.body_complete:
                return True
        return False

    def _forget(self) -> None:
        self.policy.admitted.clear()
        self.policy.over.clear()
        self._lines.clear()
        self._complaints.clear()
        self._log.lines.clear()
        self.taps = [tap for tap in self.taps if not tap.transport.is_closing()]
        for tap in self.taps:
            tap.received, tap.answered = b"", 0

    def _said(self) -> str:
        return "\n".join([*self._lines, *[line.text() for line in self._log.lines]])

    def end(self) -> None:
        """Everything."""
        self.engine.close()
        self.run(self.engine.closed(1))
        self._runner.close()


def to_be_read(peer: socket.socket) -> bool:
    """Whether bytes have come that were not read."""
    count = fcntl.ioctl(peer.fileno(), termios.FIONREAD, bytes(4))
    return int.from_bytes(count, sys.byteorder) > 0


def on_the_way(peer: socket.socket) -> bool:
    """Whether bytes were sent that have not come to the other side."""
    if sys.platform == "darwin":
        return peer.getsockopt(socket.SOL_SOCKET, 0x1024) > 0  # SO_NWRITE
    count = fcntl.ioctl(peer.fileno(), termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(count, sys.byteorder) > 0


async def settle_gone(engine: Engine) -> None:
    """Until the proxy has noticed that its client left."""
    async with asyncio.timeout(5):
        while engine.clients:  # noqa: ASYNC110 - what is waited for is outside of our hands
            await asyncio.sleep(0)


@contextmanager
def ground(directory: Path) -> Iterator[Ground]:
    """One for a module."""
    made = Ground(directory)
    logger = logging.getLogger()
    level = logger.level
    logger.addHandler(made)
    logger.setLevel(logging.DEBUG)
    try:
        yield made
    finally:
        logger.removeHandler(made)
        logger.setLevel(level)
        made.end()
