"""What of its prompts a herd reads from cache: `python bench/prompt_cache.py`. Linux only.

Conversations as agents hold them: over four Macs behind a gateway, over the same Macs in turn, over
Olla (`OLLA` names the program, if there is one), and all of them on one Mac with as many slots.
Every fourth conversation has a session's header and every fourth a `prompt_cache_key`; the others
are known by their opening. The servers remember prompts as llama-server does, at a fixed pace, so
that the shares do not depend on how fast this machine is (bench/slot_cache.py); with `--real` they
are real ones with a tiny model, and `timings` are their own.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.conversations import Conversation
from bench.gateway_parts import Fleet
from bench.slot_cache import SlotCache, serve
from lab import llama_server
from lab.reciter import write_model

MACS, SLOTS, ANSWER = 4, 4, 16
CONTEXT = 8192
"""Tokens that a slot has."""


@dataclass
class Told:
    """What was asked on one way, and how it went."""

    read: int = 0
    """Tokens of prompts that were in a cache."""
    prompts: int = 0
    seconds: float = 0.0
    moved: int = 0
    """Turns that another Mac answered than the one before, where that is told."""

    @property
    def share(self) -> float:
        return self.read / self.prompts


async def converse(
    session: aiohttp.ClientSession, talk: Conversation, urls: Iterator[str], told: Told,
    pause: float, key: str,
) -> None:  # fmt: skip
    """All turns of one, with the pauses in which its tools work."""
    clock, before, by = random.Random(f"pauses {talk.number}"), "", ""
    await asyncio.sleep(clock.random() * pause * 2)
    for body in talk.bodies():
        asked = {"Authorization": f"Bearer {key}"} | talk.headers
        async with session.post(
            next(urls), json=body | {"max_tokens": ANSWER, "stream": False}, headers=asked
        ) as response:
            text = await response.text()
            assert response.status == 200, (response.status, text)
            answer = json.loads(text)
            named = [response.headers.get(name, "") for name in ("X-Served-By", "X-Olla-Endpoint")]
            by = "".join(named)
        timings = answer["timings"]
        told.read += timings["cache_n"]
        told.prompts += timings["cache_n"] + timings["prompt_n"]
        told.moved += before not in ("", by)
        before = by
        talk.answered(answer["choices"][0]["message"]["content"])
        await asyncio.sleep(clock.random() * pause * 2)


async def until_answered(urls: list[str], key: str) -> None:
    """Waits until each of them serves."""
    body = {"model": "m", "messages": [{"role": "user", "content": "?"}], "max_tokens": 1}
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        for url in urls:
            for _ in range(200):
                with suppress(aiohttp.ClientError):
                    async with session.post(url, json=body) as response:
                        if response.status == 200:
                            break
                await asyncio.sleep(0.2)


async def all_of(options: argparse.Namespace, urls: list[str], key: str) -> Told:
    """Every conversation at once, with the same words and pauses each time; asked by turns."""
    told, turn, began = Told(), cycle(urls), time.monotonic()
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(600)
    ) as session:
        numbers = range(options.conversations)
        talks = [Conversation(n, options.turns, options.agents) for n in numbers]
        await asyncio.gather(
            *(converse(session, talk, turn, told, options.pause, key) for talk in talks)
        )
    told.seconds = time.monotonic() - began
    return told


async def measure(way: str, options: argparse.Namespace) -> Told:
    """One way, with caches that are empty."""
    many, slots = (1, SLOTS * MACS) if way == BEST else (MACS, SLOTS)
    with tempfile.TemporaryDirectory(prefix="herd-") as directory:
        fleet = Fleet(Path(directory), set())
        runners = []
        try:
            if options.real:
                model = write_model(fleet.directory / "model")[0]
                names = [f"server{n}" for n in range(many)]
                ports = [fleet.llama_server(name, model, slots, CONTEXT).port for name in names]
            else:
                started = [await serve(SlotCache(slots, options.room)) for _ in range(many)]
                runners, ports = [each[0] for each in started], [each[1] for each in started]
            macs = [fleet.mac(f"mac{n}", port) for n, port in enumerate(ports)]
            match way:
                case "gateway":
                    front, _ = fleet.gateway(macs, SLOTS, options.conversations)
                    urls = [address(front.port)]
                case "Olla":
                    urls = [address(fleet.olla(os.environ["OLLA"], ports).port, "/olla/openai")]
                case _:
                    urls = [address(mac.port) for mac in macs]
            await until_answered(urls, fleet.key)
            return await all_of(options, urls, fleet.key)
        finally:
            fleet.stop()
            for runner in runners:
                await runner.cleanup()


BEST = "one Mac, all slots"
WAYS = (BEST, "gateway", "round robin", "Olla")


def address(port: int, prefix: str = "") -> str:
    """Where a chat is asked for."""
    return f"http://127.0.0.1:{port}{prefix}/v1/chat/completions"


def main() -> None:
    """Measures, and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conversations", type=int, default=40)
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--agents", type=int, default=4, help="of which all are conversations")
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between two turns")
    parser.add_argument("--room", type=int, default=10**6, help="tokens of prompts in RAM, a Mac")
    parser.add_argument("--real", action="store_true", help="real llama-servers, as fast as it is")
    options = parser.parse_args()
    if options.real and llama_server.find() is None:
        sys.exit(f"llama-server is {llama_server.describe()}")
    print(f"{options.conversations} conversations of {options.turns} turns and", end=" ")
    print(f"{options.agents} agents, {MACS} Macs with {SLOTS} slots each.\n")
    print("| way | read from cache | of the best | moved | seconds |")
    print("|---|--:|--:|--:|--:|")
    best = 0.0
    for way in WAYS:
        if way == "Olla" and "OLLA" not in os.environ:
            continue
        told = asyncio.run(measure(way, options))
        best = best or told.share
        print(
            f"| {way} | {told.share:.3f} | {told.share / best:.3f} | {told.moved} "
            f"| {told.seconds:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
