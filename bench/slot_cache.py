"""A llama-server that does nothing but remember prompts, as the real one does, at a fixed pace.

One letter is one token. From tools/server/server-context.cpp and server-task.cpp of llama.cpp: of
the free slots it takes the one whose tokens are most like the prompt, if they are a tenth of it,
else the one that was used longest ago. If that keeps less than half of what is in it, its tokens
first go to the prompt cache in RAM, and what fits better is taken from there.
`bench/prompt_cache.py --real` is the same with real ones.
"""

import asyncio
import json
import time
from typing import Any

from aiohttp import web

SIMILAR, KEPT = 0.1, 0.5
READ, SAID = 8000, 40
"""Tokens a second: of a prompt that is read, and of an answer."""


class Slot:
    """What it has worked on last."""

    def __init__(self) -> None:
        self.tokens = ""
        self.used = 0.0
        self.busy = False


class SlotCache:
    """The slots, and prompts that have none, oldest first, up to `room` tokens of them."""

    def __init__(self, slots: int, room: int) -> None:
        self._slots = [Slot() for _ in range(slots)]
        self._prompts: list[str] = []
        self._room = room
        self._free = asyncio.Semaphore(slots)

    async def answer(self, prompt: str, tokens: int) -> dict[str, int]:
        """As `timings` tell it, once it has taken its time."""
        async with self._free:
            slot = self.choose(prompt)
            cached = min(alike(slot.tokens, prompt), len(prompt) - 1)  # one is always read
            slot.busy = True
            try:
                await asyncio.sleep((len(prompt) - cached) / READ + tokens / SAID)
            finally:
                slot.busy, slot.used = False, time.monotonic()
                slot.tokens = prompt + "x" * tokens
        return {"cache_n": cached, "prompt_n": len(prompt) - cached}

    def choose(self, prompt: str) -> Slot:
        """A free slot, with the best in it that there is for this prompt."""
        free = [slot for slot in self._slots if not slot.busy]
        best = max(free, key=lambda slot: alike(slot.tokens, prompt))
        if alike(best.tokens, prompt) <= SIMILAR * len(prompt):
            best = min(free, key=lambda slot: slot.used)
        kept = alike(best.tokens, prompt)
        if best.tokens and kept < KEPT * len(best.tokens):
            self._keep(best.tokens)
        if not best.tokens or kept < KEPT * len(best.tokens):
            found = max(self._prompts, key=lambda one: alike(one, prompt), default="")
            share = alike(found, prompt) / max(1, len(found))
            if alike(found, prompt) > kept and share > kept / max(1, len(best.tokens)):
                self._prompts.remove(found)
                best.tokens = found
        return best

    def _keep(self, tokens: str) -> None:
        if any(one.startswith(tokens) for one in self._prompts):
            return
        self._prompts = [one for one in self._prompts if not tokens.startswith(one)] + [tokens]
        while sum(map(len, self._prompts)) > self._room and len(self._prompts) > 1:
            self._prompts.pop(0)


def alike(one: str, other: str) -> int:
    """Letters that both begin with."""
    least, most = 0, min(len(one), len(other))
    while least < most:
        middle = (least + most + 1) // 2
        if one[:middle] == other[:middle]:
            least = middle
        else:
            most = middle - 1
    return least


def application(cache: SlotCache) -> web.Application:
    """What a Mac's proxy asks of llama-swap and llama-server here."""

    async def chat(request: web.Request) -> web.Response:
        body: dict[str, Any] = json.loads(await request.read())
        told = [f"<|{each['role']}|>{each['content']}\n" for each in body["messages"]]
        timings = await cache.answer("".join(told), body["max_tokens"])
        message = {"role": "assistant", "content": "x" * body["max_tokens"]}
        return web.json_response({"choices": [{"message": message}], "timings": timings})

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "m", "object": "model"}]})

    async def health(_: web.Request) -> web.Response:
        return web.Response(text="OK")

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/v1/models", models)
    app.router.add_get("/{any:.*}", health)
    return app


async def serve(cache: SlotCache) -> tuple[web.AppRunner, int]:
    """It runs, on a free port."""
    runner = web.AppRunner(application(cache), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, int(runner.addresses[0][1])
