"""Decides who is served, who waits and who is stopped: groups or a matrix, swaps and the queue.

A request for a running model is served at once; one that would stop a busy model waits until
that is idle; swaps that do not touch each other run side by side.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from lab.llama_swap.config import Config
from lab.llama_swap.logs import Monitor
from lab.llama_swap.process import Process, StartError

Waiter = asyncio.Future[None]


class TooManyRequests(Exception):
    """The model's concurrency limit is reached."""


@dataclass
class Swap:
    evicted: set[str]
    waiters: list[Waiter] = field(default_factory=list)


class Scheduler:
    def __init__(self, config: Config, processes: dict[str, Process], log: Monitor) -> None:
        self.config = config
        self.processes = processes
        self.log = log
        self.group_of = {m: name for name, g in config.groups.items() for m in g.members}
        self.router = "matrix" if config.matrix else "group"
        self.reserved: Counter[str] = Counter()
        self.serving: Counter[str] = Counter()
        self.swaps: dict[str, Swap] = {}
        self.queue: list[tuple[str, Waiter]] = []
        self.tasks: set[asyncio.Task[None]] = set()

    async def acquire(self, model: str) -> None:
        """Return when `model` is ready for one more request; pair it with release()."""
        if self.reserved[model] >= self.config.models[model].concurrency_limit:
            raise TooManyRequests
        self.reserved[model] += 1
        waiter: Waiter = asyncio.get_running_loop().create_future()
        if not self._place(model, waiter):
            self.queue.append((model, waiter))
        try:
            await waiter
        except BaseException:
            self.reserved[model] -= 1
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._served(model)  # granted, and the client left in the same moment
            raise

    def release(self, model: str) -> None:
        self.reserved[model] -= 1
        self._served(model)

    def running(self) -> dict[str, str]:
        return {
            name: process.state
            for name, process in sorted(self.processes.items())
            if process.state != "stopped"
        }

    async def unload(self, *models: str) -> None:
        """Stop these, or all; whoever waits for one of them is turned away."""
        names = models or tuple(self.processes)
        self._turn_away(names, StartError(f"{self.router}: model unloaded"))
        await asyncio.gather(
            *(self.processes[name].stop(self.config.models[name].unload_timeout) for name in names)
        )
        self._drain()

    async def shutdown(self, grace: float) -> None:
        self._turn_away(tuple(self.processes), StartError(f"{self.router} is shutting down"))
        await asyncio.gather(*(process.stop(grace) for process in self.processes.values()))

    def _served(self, model: str) -> None:
        self.serving[model] -= 1
        if self.serving[model] <= 0:
            del self.serving[model]
            self._drain()

    def _place(self, model: str, waiter: Waiter) -> bool:
        """Serve or start now if that disturbs nobody; False if the request has to queue."""
        if model in self.swaps:
            self.swaps[model].waiters.append(waiter)
            return True
        evicted = self._evicted_for(model)
        collides = any(
            other in evicted or model in swap.evicted for other, swap in self.swaps.items()
        )
        if collides or any(self.serving[name] for name in evicted):
            return False
        if self.processes[model].state == "ready" and not evicted:
            self._grant(model, waiter)
            return True
        self.swaps[model] = Swap(evicted, [waiter])
        task = asyncio.create_task(self._swap(model, self.swaps[model]))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return True

    def _evicted_for(self, model: str) -> set[str]:
        others = {*self.running(), *self.swaps}
        if self.config.matrix:
            return self.config.matrix.evicted_for(model, others)
        group = self.group_of[model]
        settings = self.config.groups[group]
        evicted = set()
        for other in others - {model}:
            theirs = self.group_of[other]
            if theirs == group:
                stops = settings.swap
            else:
                # A group that is not exclusive stops nobody, not even an exclusive one.
                stops = settings.exclusive and not self.config.groups[theirs].persistent
            if stops:
                evicted.add(other)
        return evicted

    async def _swap(self, model: str, swap: Swap) -> None:
        timeout = self.config.health_check_timeout
        await asyncio.gather(*(self.processes[name].stop(timeout) for name in swap.evicted))
        error: StartError | None = None
        try:
            await self.processes[model].ensure_ready(timeout)
        except StartError as problem:
            error = problem
            self.log.warn(f"{self.router}: starting {model} failed: {problem}")
        if self.swaps.get(model) is not swap:
            return  # unloaded meanwhile, and its waiters told
        del self.swaps[model]
        for waiter in swap.waiters:
            if error is None:
                self._grant(model, waiter)
            elif not waiter.done():
                waiter.set_exception(error)
        self._drain()

    def _grant(self, model: str, waiter: Waiter) -> None:
        if not waiter.done():
            self.serving[model] += 1
            waiter.set_result(None)

    def _drain(self) -> None:
        waiting, self.queue = self.queue, []
        for model, waiter in waiting:
            if not waiter.done() and not self._place(model, waiter):
                self.queue.append((model, waiter))

    def _turn_away(self, models: Iterable[str], error: StartError) -> None:
        names = set(models)
        swaps = [self.swaps.pop(name) for name in names if name in self.swaps]
        waiters = [waiter for swap in swaps for waiter in swap.waiters]
        waiters += [waiter for model, waiter in self.queue if model in names]
        self.queue = [(model, waiter) for model, waiter in self.queue if model not in names]
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(error)
