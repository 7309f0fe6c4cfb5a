"""Whether models that are loaded still give tokens: health checks stay green when a GPU hangs.

Nothing is asked while answers come, and nothing while no request is open. Where one has been open
for `silence` without a byte, and nothing else of its model came, llama-server is asked for one
token, by a `deadline`. It may be reading a long prompt in its only slot: so the slots are looked
at before and after, and what got on is not stuck. Only models that llama-swap has loaded are asked,
so none is woken; one that is stuck is asked again until a token comes, or it is loaded no more.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Protocol
from urllib.parse import quote

from proxy.exchange import Reply, Request
from proxy.readiness import llama_server_slots

_log = logging.getLogger("proxy.readiness")

LOOK_SECONDS = 5.0
"""For what llama-swap and an idle llama-server answer at once."""
AGAIN_SECONDS = 10.0
"""Between two questions to a model that is stuck."""
ONE_TOKEN = json.dumps({"prompt": "1", "n_predict": 1, "cache_prompt": False}).encode()


class Ask(Protocol):
    """A request to llama-swap, its answer held in memory; TimeoutError if it is not there in time,
    a reply with status 502 or 503 and a note if there is none."""

    async def __call__(self, method: str, target: str, body: bytes, seconds: float) -> Reply: ...


class Running(Protocol):
    """A request under way, as the books have it."""

    model: str | None

    def progress(self) -> int:
        """What came of its answer so far; grows with each token."""


class Verdict(Enum):
    """What one question told."""

    ALIVE = auto()
    STUCK = auto()
    UNKNOWN = auto()
    """It refused, for a reason of its own: it is full, or being unloaded."""


class ForwardProgress:
    """The watchdog; `look` is called every half second while requests run."""

    def __init__(
        self, ask: Ask, stuck: dict[str, str], *, deadline: float, silence: float | None = None,
        again: float = AGAIN_SECONDS, name_of: Callable[[str], str] = str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`stuck` is kept up to date: models by llama-swap's name, with what was found. `name_of`
        says that name of an alias, as far as somebody knows."""
        self.stuck = stuck
        self._ask = ask
        self._name_of = name_of
        self._deadline = deadline
        self._silence = deadline / 2 if silence is None else silence
        self._again = min(again, deadline)
        self._look_seconds = min(LOOK_SECONDS, deadline)
        self._clock = clock
        self._seen: dict[Request, int] = {}
        self._came: dict[str, float] = {}  # when something last did, by model
        self._task: asyncio.Task[None] | None = None
        self._once = asyncio.Lock()

    def look(self, running: Mapping[Request, Running]) -> None:
        """Sees what came since the last time, and asks where nothing did for too long."""
        now = self._clock()
        seen, self._seen = self._seen, {}
        waiting: dict[str, float] = {}  # since when the longest has been
        for request, ticket in running.items():
            model = self._name_of(ticket.model or "")
            self._seen[request] = come = ticket.progress()
            if come > seen.get(request, 0):
                self._came[model] = now
            waiting[model] = min(request.started, waiting.get(model, now))
        self._came = {model: at for model, at in self._came.items() if model in waiting}
        silent = {
            model
            for model, since in waiting.items()
            if now - max(since, self._came.get(model, 0.0)) >= self._silence
        }
        if silent and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._watch(silent))

    def close(self) -> None:
        """Asks no more."""
        if self._task is not None:
            self._task.cancel()

    async def check(self) -> dict[str, str]:
        """Asks all loaded models now; what each of them did."""
        loaded = await self._ready()
        for model in loaded:
            await self._judge(model)
        if self.stuck and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._watch(set()))
        return {model: self.stuck.get(model, "answers") for model in loaded}

    async def _watch(self, silent: set[str]) -> None:
        """Of these models; then of those that are stuck, as long as they are."""
        try:
            states = await self._states()
            ready = {model for model, state in states.items() if state == "ready"}
            # What is not there by this name is an alias: then it is one of all.
            for model in (silent & ready) if silent <= states.keys() else ready:
                await self._judge(model)
            self._came |= dict.fromkeys(silent, self._clock())  # not at once again
            while self.stuck:
                await asyncio.sleep(self._again)
                for model in self.stuck.keys() - await self._ready():
                    self._free(model, "is loaded no more")
                for model in list(self.stuck):
                    await self._judge(model)
        finally:
            self._task = None

    async def _ready(self) -> set[str]:
        return {model for model, state in (await self._states()).items() if state == "ready"}

    async def _states(self) -> dict[str, str]:
        """Of models by llama-swap's names; what still loads gives no token yet, and need not."""
        try:
            answer = await self._ask("GET", "/running", b"", self._look_seconds)
            running = json.loads(answer.body)["running"]
            return {str(entry["model"]): str(entry["state"]) for entry in running}
        except (TimeoutError, ValueError, KeyError, TypeError):
            return dict.fromkeys(self.stuck, "ready")  # nothing is known of them now

    async def _judge(self, model: str) -> None:
        async with self._once:
            began = self._clock()
            verdict = await self._verdict(model)
            took = self._clock() - began
        if verdict is Verdict.STUCK:
            if model not in self.stuck:
                _log.error("%s gives no token: none in %.0f s", model, took)
            self.stuck[model] = f"none in {took:.0f} s"
        elif verdict is Verdict.ALIVE:
            self._free(model, "gives tokens again")

    def _free(self, model: str, why: str) -> None:
        if self.stuck.pop(model, None) is not None:
            _log.info("%s %s", model, why)

    async def _verdict(self, model: str) -> Verdict:
        path = f"/upstream/{quote(model)}"
        came = self._came.get(model, 0.0)
        before = await self._slots(path)
        try:
            answer = await self._ask("POST", f"{path}/completion", ONE_TOKEN, self._deadline)
        except TimeoutError:
            further = self._came.get(model, 0.0) > came
            if further or llama_server_slots.got_on(before, await self._slots(path)):
                return Verdict.ALIVE
            return Verdict.STUCK
        # What is no model of text says so (404, 501), and so it answers. A 429 is llama-swap's,
        # and other errors are nobody's word on tokens.
        alive = answer.status < 429 or answer.status == 501
        return Verdict.ALIVE if alive else Verdict.UNKNOWN

    async def _slots(self, path: str) -> llama_server_slots.Slots:
        try:
            answer = await self._ask("GET", f"{path}/slots", b"", self._look_seconds)
        except TimeoutError:
            return {}
        return llama_server_slots.read(answer.body) if answer.status == 200 else {}
