"""Which models are in memory, as llama-swap has them: a gateway sends requests there first."""

import asyncio
import json
import time
from collections.abc import Callable

from proxy.readiness.forward_progress import LOOK_SECONDS, Ask

FRESH_SECONDS = 5.0
"""As long as an answer counts: gateways ask for each model, and llama-swap logs each question."""
_WARM = ("ready", "starting")
"""llama-swap's words for what is there, or soon will be."""


class Loaded:
    """Asks when it is asked, and no more than once at a time."""

    def __init__(
        self, ask: Ask, name_of: Callable[[str], str] = str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`name_of` says llama-swap's name of an alias, as far as somebody knows."""
        self._ask = ask
        self._name_of = name_of
        self._clock = clock
        self._models: frozenset[str] = frozenset()
        self._until = float("-inf")
        self._once = asyncio.Lock()

    async def has(self, name: str) -> bool:
        """Whether a request for this name finds its model there."""
        async with self._once:
            if self._clock() >= self._until:
                self._models = await self._running()
                self._until = self._clock() + FRESH_SECONDS
        return self._name_of(name) in self._models

    async def _running(self) -> frozenset[str]:
        try:
            answer = await self._ask("GET", "/running", b"", LOOK_SECONDS)
            running = json.loads(answer.body)["running"]
            return frozenset(str(each["model"]) for each in running if each["state"] in _WARM)
        except (TimeoutError, ValueError, KeyError, TypeError):
            return self._models  # nothing else is known now
