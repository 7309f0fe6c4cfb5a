"""The order of a run: locks, what is there, room, the way of the bytes, the switch."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from fetcher import no_links, put_in_place
from fetcher.errors import Failure
from fetcher.hashing import Digest, Hashing
from fetcher.hub import Hub
from fetcher.item import Item, State
from fetcher.mutex import hold
from fetcher.peers import Peers
from fetcher.progress import complain, complete, human
from fetcher.receipts import Receipts
from fetcher.spec import Spec
from fetcher.transfer import HUB, Transfer
from fetcher.who_fetches import Waiting
from fetcher.work import FIRST_LOOK, NEXT_LOOK, Work, find_room

TICK = 0.2
"""Seconds after which what depends on time is looked at, when nothing has happened before."""

SAVE = 1.0
"""Seconds between two journals of a file that changes: so much is lost in a crash."""


class Run:
    """One run; `works` tells which models are unfinished when it is cut off."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._items: dict[Path, Item] = {}
        receipts: dict[Path, Receipts] = {}
        self.works = []
        for model in spec.models:
            mine = receipts.setdefault(model.directory, Receipts(model.directory))
            for file in model.files:
                # Two models may share a file.
                self._items.setdefault(
                    model.directory / file.path, Item(model.directory, file, mine)
                )
            items = [self._items[model.directory / file.path] for file in model.files]
            self.works.append(Work(model.name, list(dict.fromkeys(items))))
        self._directories = {
            directory: [w for w, m in zip(self.works, spec.models, strict=True)
                        if m.directory == directory]
            for directory in sorted(receipts)
        }  # fmt: skip
        self._hashing = Hashing()
        self._verifying: dict[Item, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()

    async def all(self) -> bool:
        """Fetches everything; whether all models are whole. Raises Gone."""
        try:
            await self._lock()
            self._look_at_all()
            async with self._helpers():
                while self._has(State.ADOPT):
                    self._verify()
                    await self._wait()
                self._find_room()
                if self._has(State.GET, State.CHECK):
                    await self._fetch()
                self._settle()
        finally:
            self._hashing.close()
            self._close_pieces()
        return not any(work.failed for work in self.works)

    # -- What is there

    async def _lock(self) -> None:
        """In an order that is the same for all runs, so that no two wait for each other."""
        for directory, works in self._directories.items():
            try:
                await hold(directory, lambda: works[0].say("taking over from an earlier run"))  # noqa: B023
            except Failure as failure:
                for work in works:
                    self._fail_work(work, failure)

    def _look_at_all(self) -> None:
        for work in self.works:
            for item in work.items:
                if work.failed:
                    break
                try:
                    put_in_place.look_at(item, again=self._spec.again, say=work.say)
                except Failure as failure:
                    self._fail(item, failure)

    def _find_room(self) -> None:
        live = [work for work in self.works if not work.is_over]
        for work, failure in find_room(live):
            self._fail_work(work, failure)
        for work in live:
            begun = any(i.state is State.GET and i.pieces.have for i in work.items)
            if begun and not work.failed:
                work.say(f"resuming at {human(work.got, work.total)} of {human(work.total)}")

    # -- The way of the bytes

    async def _fetch(self) -> None:
        spec = self._spec
        items = list(self._items.values())
        async with (
            Hub(spec.token, spec.patience.stall) as hub,
            Peers(spec.fleet, spec.patience, self._woken.set) as peers,
        ):
            transfer = Transfer(
                *(items, hub, peers, spec.connections, spec.patience),
                client=spec.client, token=spec.token,
                say=self._say, fail=self._fail, wake=self._woken.set,
            )  # fmt: skip
            try:
                while self._has(State.GET, State.CHECK):
                    transfer.look()
                    self._verify()
                    self._tell_faults(peers, last=False)
                    self._settle()
                    self._tell_waiting(transfer)
                    await self._wait()
                self._tell_faults(peers, last=True)
            finally:
                await transfer.close()

    def _verify(self) -> None:
        """Hashes what is to be hashed, and takes note of what was."""
        for item, task in list(self._verifying.items()):
            if task.done():
                del self._verifying[item]
                try:
                    task.result()
                except Failure as failure:
                    self._fail(item, failure)
        for item in self._items.values():
            if item.state in (State.ADOPT, State.CHECK) and item not in self._verifying:
                self._verifying[item] = asyncio.create_task(self._hash(item))
                self._verifying[item].add_done_callback(lambda _: self._woken.set())

    async def _hash(self, item: Item) -> None:
        item.digest = Digest()
        # What was there before us may be a link of its owner; what we write is none.
        opened = partial(no_links.open_to_read, item.directory, item.part)
        if item.state is State.ADOPT:
            opened = partial(os.open, item.at, os.O_RDONLY | os.O_CLOEXEC)
        try:
            found = await self._hashing.sha256(opened, item.digest)
        except OSError as error:
            raise Failure(f"{item.file.path}: cannot be hashed: {error.strerror}") from None
        finally:
            item.digest = None
        if item.state is State.ADOPT:
            put_in_place.adopted(item, found, lambda text: self._say(item, text))
        elif item.state is State.CHECK:
            origin = self._spec.origin
            put_in_place.arrived(item, found, origin, HUB, lambda text: self._say(item, text))

    def _settle(self) -> None:
        """Ends the models that have all of their files."""
        for work in self.works:
            if work.is_over or work.has(State.ADOPT, State.GET, State.CHECK):
                continue
            try:
                put_in_place.switch(work.items, self._spec.origin, work.say)
            except Failure as failure:
                self._fail_work(work, failure)
                continue
            work.done = True
            alone = not (self._spec.fleet and self._spec.fleet.others)
            work.say(complete(work.total, work.given, HUB, alone=alone))

    # -- Lines, and time

    def _tell_faults(self, peers: Peers, *, last: bool) -> None:
        """Of other Macs, where the Hub gave what they might have."""
        if any(HUB in work.given for work in self.works):
            work = next((w for w in self.works if not w.is_over), self.works[0])
            for fault in peers.faults(last=last):
                work.say(fault)

    def _tell_waiting(self, transfer: Transfer) -> None:
        """Of a model of which nothing moves here."""
        for work in self.works:
            if work.is_over:
                continue
            sources = {i: transfer.sources.get(i) for i in work.items if i.state is State.GET}
            first = next(iter(sources), None)
            found = sources[first] if first else None
            text = ""
            if first and isinstance(found, Waiting) and _all_wait(list(sources.values())):
                text = f"waiting for {found.name}, which fetches {first.file.path}"
            work.tell_waiting(text)

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), TICK)
        self._woken.clear()
        for helper in self._helping:
            if helper.done():
                helper.result()

    @asynccontextmanager
    async def _helpers(self) -> AsyncIterator[None]:
        """What happens beside all that: progress, and journals."""
        self._helping = [asyncio.create_task(each()) for each in (self._show, self._save)]
        try:
            yield
        finally:
            tasks = [*self._helping, *self._verifying.values()]
            for task in tasks:
                task.cancel()
            self._hashing.close()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _show(self) -> None:
        pause = FIRST_LOOK
        while True:
            for _ in range(round(pause / TICK)):
                for work in self.works:
                    work.note()
                await asyncio.sleep(TICK)
            pause = NEXT_LOOK
            live = [work for work in self.works if not work.is_over]
            for work in live:
                work.look(alone=work is live[0])

    async def _save(self) -> None:
        while True:
            await asyncio.sleep(SAVE)
            for item in self._items.values():
                if item.state is State.GET:
                    try:
                        await item.pieces.save()
                    except Failure as failure:
                        self._fail(item, failure)

    # -- The end

    def _say(self, item: Item, text: str) -> None:
        next((w for w in self.works if item in w.items and not w.failed), self.works[0]).say(text)

    def _has(self, *states: State) -> bool:
        return any(not work.is_over and work.has(*states) for work in self.works)

    def _fail(self, item: Item, failure: Failure) -> None:
        for work in self.works:
            if item in work.items and not work.is_over:
                self._fail_work(work, failure)

    def _fail_work(self, work: Work, failure: Failure) -> None:
        """Ends one model's way; what others want, too, goes on."""
        work.failed = True
        complain(work.name, str(failure))
        wanted = {item for each in self.works if not each.failed for item in each.items}
        for item in set(work.items) - wanted:
            if item.state in (State.ADOPT, State.GET, State.CHECK):
                item.state = State.DROPPED

    def _close_pieces(self) -> None:
        for item in self._items.values():
            try:
                item.pieces.close()
            except Failure as failure:
                self._fail(item, failure)


def _all_wait(sources: list[object]) -> bool:
    return all(isinstance(each, Waiting) for each in sources)
