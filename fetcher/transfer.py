"""Which bytes are fetched next, from where, over which connection."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from fetcher import hub_client
from fetcher.errors import Failure
from fetcher.hub import Hub, NoRanges, NotPlainly
from fetcher.item import Item, State
from fetcher.peers import Peer, Peers
from fetcher.receiving import NETWORK, Span, interrupted
from fetcher.slowness import Watch
from fetcher.spec import Patience
from fetcher.who_fetches import FromHub, FromPeers, Source, Waiting, order, source

HUB = "the Hub"

ATTEMPTS = 6
"""Without a byte, after which a model fails."""

LEFT_ALONE = 3600.0
"""Seconds of leaving the Hub alone as it asks, without a byte, after which a model fails."""

PEER_CONNECTIONS, OF_ONE_PEER = 8, 2
"""From other Macs: in all, and from each; two are enough to fill a network."""

MADE_WAY = 3
"""Times that we leave a file of the Hub to another Mac, which may begin and end as it likes: what
each time costs us is little only if it is not for ever."""

IDLE = 3
"""Polls after which a Mac that has nothing to fetch from the Hub takes what others do not begin."""


@dataclass(eq=False)
class Connection:
    """A piece on its way."""

    item: Item
    span: Span
    peer: Peer | None
    task: asyncio.Task[None]


class Transfer:
    """The connections of a run. `client` is a path of `hf`, for what comes by it alone; `fail`
    hears of files that cannot be had."""

    def __init__(
        self, items: Sequence[Item], hub: Hub, peers: Peers, connections: int, patience: Patience,
        *, client: str | None, token: str | None,
        say: Callable[[Item, str], None], fail: Callable[[Item, Failure], None],
        wake: Callable[[], None],
    ) -> None:  # fmt: skip
        self._client, self._token = client, token
        self._items, self._hub, self._peers = items, hub, peers
        self._most, self._patience = connections, patience
        self._say, self._fail, self._wake = say, fail, wake
        self.sources: dict[Item, Source] = {}
        self._claims: dict[Item, float] = {}  # when we told that we fetch a file from the Hub
        self._begun: set[Item] = set()  # files that we do fetch from there
        self._unbegun: dict[Item, float] = {}  # since when we wait for somebody to begin
        self._connections: list[Connection] = []
        self._idle_since = time.monotonic()
        self._watches: dict[Item, Watch] = {}  # of files that do not come from the Hub
        self._samples: dict[Item, asyncio.Task[float | None]] = {}
        self._slow: dict[Item, frozenset[str]] = {}  # who is slower than the Hub
        self._made_way: Counter[tuple[Item, str]] = Counter()  # for whom we left the Hub

    def look(self) -> None:
        """Decides and begins what there is to be begun; called whenever something has changed."""
        self._collect()
        for item in self._items:
            if item.state is State.GET:
                self._decide(item)
                self._watch(item)
        self._peers.needed = any(
            item.state is State.GET and not isinstance(self.sources[item], FromPeers)
            for item in self._items
        )
        self._take_over()
        self._begin_from_peers()
        self._begin_from_hub()

    async def close(self) -> None:
        """Ends all connections; what has come is in the parts."""
        tasks = [*(each.task for each in self._connections), *self._samples.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- Where from

    def _decide(self, item: Item) -> None:
        before, now = self.sources.get(item), time.monotonic()
        slow = self._slow.get(item, frozenset())
        found = source(
            item.file,
            {name: host for name, host in self._peers.hosts.items() if name not in slow},
            self._peers.me,
            have=item.pieces.have,
            claimed=item in self._claims,
            begun=item in self._begun,
            out=self._peers.out(item.file) | item.doubted,
            now=now,
            patience=self._patience,
        )
        self.sources[item] = found
        if isinstance(before, FromHub) and not isinstance(found, FromHub):
            self._leave(item)
            if isinstance(found, Waiting):
                self._made_way[item, found.name] += 1
                if self._made_way[item, found.name] > MADE_WAY:
                    return self._give_up(item, found)
        if isinstance(before, FromPeers) and not isinstance(found, FromPeers):
            self._end(item)
        if isinstance(found, Waiting) and item.pieces.begun:
            item.pieces.close()
        if isinstance(found, Waiting) and not found.begun:
            self._unbegun.setdefault(item, now)
        else:
            self._unbegun.pop(item, None)

    def _watch(self, item: Item) -> None:
        """Compares another source than the Hub with the Hub, now and then."""
        found, now, first = self.sources[item], time.monotonic(), self._patience.compare
        if isinstance(found, FromHub):
            self._watches.pop(item, None)
            return
        watch = self._watches.setdefault(item, Watch(now, first))
        level = item.pieces.have
        if isinstance(found, Waiting):
            told = self._peers.hosts[found.name].files.get(item.file.sha256)
            level = min(told.have, item.file.size) if told else 0
            if found.begun and level == item.file.size - 1:
                return  # it is verified there, which has an end of its own
            watch.note(found.name, level)
        else:
            watch.note("", level)
        if item not in self._samples:
            if watch.is_due(now) and not self._hub.cool:
                self._samples[item] = task = asyncio.create_task(self._hub.sample(item.file))
                task.add_done_callback(lambda _: self._wake())
        elif self._samples[item].done():
            hub, missing = self._samples.pop(item).result(), item.file.size - item.pieces.have
            if not hub:
                watch.wait(now, first)
            elif watch.is_slower(now, item.file.size - level, missing, hub):
                self._give_up(item, found)

    def _give_up(self, item: Item, found: Waiting | FromPeers) -> None:
        """Those from whom a file comes slower than from the Hub: for this run, and this file."""
        if isinstance(found, Waiting):
            slow = [found.name]
        else:
            giving = {c.peer.host.name for c in self._connections if c.item is item and c.peer}
            slow = sorted(giving) or list(found.names)
        self._slow[item] = self._slow.get(item, frozenset()) | {*slow}
        told = f"slower from {' and '.join(slow)} than from the Hub: fetching it elsewhere"
        self._say(item, f"{item.file.path}: {told}")
        self._end(item)
        self._decide(item)

    def _take_over(self) -> None:
        """With nothing to fetch from the Hub, a file whose owner is busy with others, the last."""
        now = time.monotonic()
        at_hub = any(isinstance(self.sources.get(i), FromHub) for i in self._open())
        if at_hub:
            self._idle_since = now
        names = [self._peers.me, *self._peers.hosts]
        for item in reversed(self._open()):
            found = self.sources[item]
            # Who has not moved at all may only be late: it has its grace.
            if not isinstance(found, Waiting) or not self._peers.hosts[found.name].has_moved:
                continue
            # Those who wait for the same do not all take it at the same moment.
            rank = order(item.file, names).index(self._peers.me)
            since = max(self._idle_since, self._unbegun.get(item, now))
            if now - since > (IDLE + 2 * rank) * self._patience.poll:
                self._claim(item)
                self.sources[item] = FromHub()
                return

    def _leave(self, item: Item) -> None:
        """Does not fetch a file from the Hub any more."""
        self._end(item)
        self._claims.pop(item, None)
        self._begun.discard(item)

    def _open(self) -> list[Item]:
        return [item for item in self._items if item.state is State.GET]

    def _claim(self, item: Item) -> None:
        """Tells the others first; whoever does the same at this moment is seen by the next poll."""
        item.pieces.begin()
        self._claims[item] = time.monotonic()
        self._peers.ask_now()

    # -- Connections

    def _begin_from_peers(self) -> None:
        now = time.monotonic()
        for item in self._open():
            found = self.sources[item]
            if not isinstance(found, FromPeers):
                continue
            while sum(1 for c in self._connections if c.peer) < PEER_CONNECTIONS:
                free = [
                    peer
                    for peer in (self._peers.all[name] for name in found.names)
                    if self._busy(peer) < OF_ONE_PEER
                    and peer.rests.get(item.file.sha256, 0.0) <= now
                ]
                span = self._next(item) if free else None
                if span is None:
                    break
                # Which of several that are equal is chance, or all Macs would ask the same one.
                peer = min(free, key=lambda peer: (self._busy(peer), random.random()))
                self._begin(item, span, peer)

    def _begin_from_hub(self) -> None:
        for item in self._open():
            if self._hub.cool or not isinstance(self.sources[item], FromHub):
                continue
            while sum(1 for c in self._connections if not c.peer) < self._most:
                span = self._next(item)
                if span is None:
                    break
                if item not in self._claims:
                    self._claim(item)
                if not self._peers.asked_since(self._claims[item]):
                    return
                self._begun.add(item)
                self._begin(item, span, None)

    def _busy(self, peer: Peer) -> int:
        return sum(1 for connection in self._connections if connection.peer is peer)

    def _next(self, item: Item) -> Span | None:
        """The next piece that nobody fetches."""
        mine = [c for c in self._connections if c.item is item]
        if item.no_ranges and (mine or isinstance(self.sources[item], FromHub)):
            if mine:
                return None
            item.pieces.clear()
        gaps = item.pieces.gaps((c.span.start, c.span.end) for c in mine)
        start, end = next(gaps, (0, 0))
        if start == end:
            return None
        return Span(start, item.piece(start, end), item.pieces.write)

    def _begin(self, item: Item, span: Span, peer: Peer | None) -> None:
        item.pieces.begin()
        fetch = self._from_peer(peer, item, span) if peer else self._from_hub(item, span)
        self._connect(item, span, peer, fetch)

    def _connect(
        self, item: Item, span: Span, peer: Peer | None, fetch: Coroutine[Any, Any, None]
    ) -> None:
        task = asyncio.create_task(fetch)
        task.add_done_callback(lambda _: self._wake())
        self._connections.append(Connection(item, span, peer, task))

    def _end(self, item: Item) -> None:
        """Leaves a file's connections; their tasks end by themselves, and write no more."""
        for connection in [c for c in self._connections if c.item is item]:
            connection.task.cancel()
            self._connections.remove(connection)

    def _collect(self) -> None:
        """Looks at the connections that have ended, and at the files that are whole by that."""
        for connection in [c for c in self._connections if c.task.done()]:
            # Another one of the same file may have failed before it.
            if connection not in self._connections:
                continue
            self._connections.remove(connection)
            item = connection.item
            try:
                connection.task.result()
            except NoRanges:
                self._end(item)
                item.no_ranges = True
                item.pieces.clear()
                told = "the server knows no ranges: fetching it over one connection"
                self._say(item, f"{item.file.path}: {told}")
            except NotPlainly:
                self._end(item)
                self._by_client(item)
            except Failure as failure:
                self._end(item)
                self._fail(item, failure)
        for item in self._open():
            if item.pieces.whole:
                self._leave(item)
                self.sources.pop(item, None)
                item.state = State.CHECK
        for connection in list(self._connections):
            if connection.item.state is not State.GET:
                self._end(connection.item)

    def _by_client(self, item: Item) -> None:
        """All of it by the Hub's own client, as one piece on its way; without one, by hand."""
        told = "the Hub does not give it over plain HTTP (400)"
        if self._client:
            self._say(item, f"{item.file.path}: {told}: fetching it by `hf download`")
            span = Span(0, item.file.size, item.pieces.write)
            self._connect(item, span, None, self._whole(self._client, item))
            return
        self._fail(item, self._to_do(item, told))

    def _to_do(self, item: Item, told: str) -> Failure:
        command = hub_client.by_hand(item.file, str(item.directory))
        return Failure(f"{item.file.path}: {told}: run `{command}` on the Mac; a deploy adopts it")

    async def _whole(self, client: str, item: Item) -> None:
        try:
            await hub_client.fetch(client, item, self._token)
        except Failure as failure:
            raise self._to_do(item, f"{failure}, and plain HTTP gives 400") from None
        self._note(item, HUB, item.file.size)

    async def _from_peer(self, peer: Peer, item: Item, span: Span) -> None:
        begun = span.start
        try:
            await self._peers.fetch(peer, item.file, span)
        finally:
            self._note(item, peer.host.name, span.start - begun)

    async def _from_hub(self, item: Item, span: Span) -> None:
        """A piece, in as many attempts as bring something."""
        tries, left_alone, first, furthest = 0, 0.0, span.start, span.start
        while span.start < span.end:
            before = span.start
            try:
                await self._hub.fetch(item.file, span)
            except NETWORK as error:
                failed = interrupted(error, self._patience.stall)
            else:
                return
            finally:
                self._note(item, HUB, span.start - before)
            limited = failed.status == 429 and failed.after > 0
            left_alone = 0.0 if span.start > furthest else left_alone + failed.after
            tries = 0 if span.start > furthest else tries if limited else tries + 1
            furthest = max(furthest, span.start)
            if tries >= ATTEMPTS or left_alone > LEFT_ALONE:
                what = f"in {left_alone:.0f} s" if limited else f"in {ATTEMPTS} attempts"
                why = f"; asked {self._hub.limit}" if failed.status == 429 else ""
                raise Failure(f"{item.file.path}: no progress {what} ({failed}{why})")
            pause = max(self._patience.pause * (1 + 2 * tries), failed.after)
            news = failed.status in (429, 503) and self._hub.cool_down(pause)
            if not limited:
                told = f"interrupted ({failed}), resuming in {pause:.0f} s"
                self._say(item, f"{item.file.path}: {told}")
            elif news:
                told = f"HTTP 429 from the Hub, asked {self._hub.limit}; going on in {pause:.0f} s"
                self._say(item, told)
            await asyncio.sleep(max(pause, self._hub.cool))
            if item.no_ranges and span.start < span.end:
                item.pieces.clear()
                span.start = first

    def _note(self, item: Item, name: str, size: int) -> None:
        item.given[name] = item.given.get(name, 0) + size
