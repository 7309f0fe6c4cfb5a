"""Other Macs of the run: what each has, asked again and again, and one range of one of them.

A Mac's proxy answers `GET /files` with {"data": [{"sha256", "size", "have"}]}, where all of a
file says that it is verified, and serves it at /files/SHA256. The proxies' certificates are
self-signed, so they are not verified: what comes is gated by its SHA-256, and the key that they
see lives for a day and opens nothing but files. Whatever a Mac answers, and however it does, costs
no more than what it might have given.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

from fetcher import peer_list
from fetcher.errors import Failure
from fetcher.receiving import (
    CONNECT_SECONDS,
    NETWORK,
    READ_BUFFER,
    Interrupted,
    Least,
    Span,
    TooSlow,
    answer,
    holds,
    interrupted,
    read,
    seconds,
)
from fetcher.spec import File, Fleet, Patience
from fetcher.who_fetches import Host, Told

ANSWER_SECONDS = 3.0
"""For a list of files, which comes from the same network."""

LEAST = 64 << 10
"""Bytes a second of a connection to another Mac: what is slower is not there. What is not quite so
slow, but slower than the Hub, is found by watch.py."""

MISSES = 3
"""Polls without an answer after which a Mac is gone; tries without a byte, for one of its files."""


class Peer:
    """Another Mac, and how we get on with it."""

    def __init__(self, name: str, url: str) -> None:
        self.host = Host(name)
        self.url = url
        self.busy = 0  # connections
        self.misses = 0
        self.fault = ""  # why there was no answer
        self.told = False  # whether that was told
        self.asked = 0.0  # when the question was sent that it answered last
        self.failed: dict[str, int] = {}  # tries in a row, by SHA-256
        self.rests: dict[str, float] = {}  # until when nothing is fetched, by SHA-256
        self.rested: dict[str, int] = {}  # how often that was for long, by SHA-256

    def take(self, told: Mapping[str, tuple[int, int]], now: float) -> None:
        """Keeps a new list: bytes that are there and in all, by SHA-256."""
        host, new = self.host, not self.host.alive
        if new:
            host.since = host.sign = now
        files = {}
        for sha256, (have, size) in told.items():
            before = None if new else host.files.get(sha256)
            grew = not new and (before is None or have > before.have)
            if grew:
                host.sign = now
            grown = now if grew or before is None else before.grown
            proven = grew or (before is not None and before.proven)
            files[sha256] = Told(have, size, grown, proven)
        host.files, host.alive, self.misses = files, True, 0

    def miss(self, fault: str, *, gone: bool = False) -> None:
        """Notes that there was no answer, or one that will not change soon."""
        self.misses += 1
        self.fault = fault
        if gone or self.misses >= MISSES:
            self.host.alive = False


class Peers:
    """All others; none of them is ever waited for that does not answer."""

    def __init__(self, fleet: Fleet | None, patience: Patience, wake: Callable[[], None]) -> None:
        self._patience, self._wake = patience, wake
        self.me = fleet.me if fleet else ""
        self.all = {name: Peer(name, url) for name, url in fleet.others.items()} if fleet else {}
        self.hosts = {name: peer.host for name, peer in self.all.items()}
        self.needed = True
        self._asking: list[asyncio.Task[None]] = []
        self._poke = asyncio.Event()
        self._session = ClientSession(
            connector=TCPConnector(limit=0, ssl=False),
            timeout=ClientTimeout(
                total=None, sock_connect=CONNECT_SECONDS, sock_read=patience.stall
            ),
            headers={
                "Accept-Encoding": "identity",
                **({"Authorization": f"Bearer {fleet.key}"} if fleet else {}),
            },
            auto_decompress=False,
            cookie_jar=DummyCookieJar(),
            read_bufsize=READ_BUFFER,
        )

    async def __aenter__(self) -> "Peers":
        """Asks all once, before anything is decided."""
        await asyncio.gather(*(self._ask(peer) for peer in self.all.values()))
        self._asking = [asyncio.create_task(self._ask_often(p)) for p in self.all.values()]
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        await self._session.close()

    def ask_now(self) -> None:
        """Does not wait for the next poll."""
        self._poke.set()
        self._poke = asyncio.Event()

    def asked_since(self, moment: float) -> bool:
        """Whether all that are there answered a question of after this moment, or had their time
        to answer it."""
        late = time.monotonic() - moment > ANSWER_SECONDS + self._patience.poll
        return late or all(p.asked > moment for p in self.all.values() if p.host.alive)

    def out(self, file: File) -> frozenset[str]:
        """Those that failed to give a file, for now."""
        now = time.monotonic()
        return frozenset(
            name
            for name, peer in self.all.items()
            if peer.failed.get(file.sha256, 0) >= MISSES and peer.rests[file.sha256] > now
        )

    def faults(self, *, last: bool) -> list[str]:
        """Why others give nothing, each once in a run; who has missed but a few questions may
        answer yet, but at the `last` call."""
        found = []
        for peer in self.all.values():
            if peer.misses >= (1 if last else MISSES) and not peer.told:
                peer.told = True
                found.append(f"{peer.host.name} {peer.fault}: the Hub is asked instead")
        return found

    async def fetch(self, peer: Peer, file: File, span: Span) -> None:
        """Fetches a span; what goes wrong makes this Mac rest, for this file."""
        peer.busy += 1
        before, stall = span.start, self._patience.stall
        url, headers = f"{peer.url}/files/{file.sha256}", {"Range": span.header}
        try:
            async with await answer(self._session, url, headers, stall) as response:
                if response.status != 206 or not holds(response, span, file.size):
                    after = seconds(response, stall)
                    raise Interrupted("", status=response.status, after=after)
                await read(response, span, Least(LEAST, stall / 4))
            peer.failed.pop(file.sha256, None)
        except Failure:
            raise  # of our own disk
        except Exception as error:
            self._failed(peer, file, error, progress=span.start > before)
        finally:
            peer.busy -= 1

    def _failed(self, peer: Peer, file: File, error: Exception, *, progress: bool) -> None:
        status, after = (error.status, error.after) if isinstance(error, Interrupted) else (0, 0.0)
        tries = 1 if progress else peer.failed.get(file.sha256, 0) + 1
        # What it says will not change soon.
        if isinstance(error, TooSlow) or 200 <= status < 429 or 429 < status < 500:
            tries = MISSES
        peer.failed[file.sha256] = tries
        pause = max(after, self._patience.pause)
        if tries >= MISSES:
            # Longer each time: it may be so for the whole run.
            times = peer.rested.get(file.sha256, 0)
            peer.rested[file.sha256] = times + 1
            pause = self._patience.stall * 2 ** min(times, 10)
        peer.rests[file.sha256] = time.monotonic() + pause

    async def _ask_often(self, peer: Peer) -> None:
        patience = self._patience
        while True:
            if peer.host.alive:
                pause = patience.poll if self.needed else patience.retry
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._poke.wait(), pause)
            else:
                await asyncio.sleep(patience.retry)
            await self._ask(peer)
            self._wake()

    async def _ask(self, peer: Peer) -> None:
        asked = time.monotonic()
        try:
            url, limit = f"{peer.url}/files", ClientTimeout(total=ANSWER_SECONDS)
            async with self._session.get(url, allow_redirects=False, timeout=limit) as response:
                if (status := response.status) in (401, 403, 404):
                    peer.miss(f"does not know this run's key (HTTP {status})", gone=True)
                    return
                if status != 200:
                    raise Interrupted(f"HTTP {status}")
                text = bytearray()
                async for data in response.content.iter_any():
                    text += data
                    if len(text) > peer_list.LARGEST:
                        break  # which parse() says
            peer.take(peer_list.parse(bytes(text)), time.monotonic())
            peer.asked = asked
        except NETWORK as error:
            why = str(interrupted(error, ANSWER_SECONDS)).removeprefix("cannot connect: ")
            peer.miss(f"does not answer at {peer.url} ({why[:1].lower()}{why[1:]})")
        except Exception:  # of what it says, or of how; it is that Mac's, whatever it is
            peer.miss(f"does not answer at {peer.url} with a list of files")
