"""A server that is up and gives no token is found; one that is slow, busy or loading is not."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from proxy.exchange import Reply, Request
from proxy.readiness import llama_server_slots
from proxy.readiness.forward_progress import ForwardProgress
from tests.proxy.support.proxy import run, until

SILENCE, DEADLINE = 30.0, 0.05


@dataclass(eq=False)
class Asked:
    """A request under way."""

    started: float
    model: str | None = "gpt"
    came: int = 0

    def progress(self) -> int:
        return self.came


def slots(*at_work: tuple[int, int, int]) -> bytes:
    """As llama-server tells them: the task, what is read of its prompt, what is written."""
    return json.dumps(
        [
            {
                "id": number, "is_processing": True, "id_task": task,
                "n_prompt_tokens_processed": read, "next_token": [{"n_decoded": written}],
            }
            for number, (task, read, written) in enumerate(at_work)
        ]
        + [{"id": 99, "is_processing": False, "id_task": 7}]
    ).encode()  # fmt: skip


@dataclass
class Swap:
    """A llama-swap with one llama-server, whose answers tests choose."""

    running: dict[str, str] = field(default_factory=lambda: {"gpt": "ready"})
    tokens: Callable[[], int | None] = lambda: 200  # the status, or none at all
    slots: Callable[[], bytes | None] = lambda: slots()
    asked: list[str] = field(default_factory=list)

    async def __call__(self, method: str, target: str, body: bytes, seconds: float) -> Reply:
        self.asked.append(f"{method} {target}")
        if target == "/running":
            entries = [{"model": name, "state": state} for name, state in self.running.items()]
            return Reply(status=200, body=json.dumps({"running": entries}).encode())
        if target.endswith("/slots"):
            found = self.slots()
            if found is None:
                raise TimeoutError
            return Reply(status=200, body=found)
        assert json.loads(body)["n_predict"] == 1
        status = self.tokens()
        if status is None:
            await asyncio.sleep(seconds)
            raise TimeoutError
        return Reply(status=status)

    @property
    def decodes(self) -> int:
        return sum(line.endswith("/completion") for line in self.asked)


class Watch:
    """A watchdog over it, by a clock of the test's."""

    def __init__(self, swap: Swap, name_of: Callable[[str], str] = str) -> None:
        self.now = 1000.0
        self.stuck: dict[str, str] = {}
        self.of = ForwardProgress(
            swap, self.stuck, deadline=DEADLINE, silence=SILENCE, again=0.02,
            clock=lambda: self.now, name_of=name_of,
        )  # fmt: skip

    def look(self, *running: Asked) -> None:
        self.of.look({cast(Request, ticket): ticket for ticket in running})

    async def later(self, seconds: float, *running: Asked) -> None:
        """So much later, and all that was asked is answered or not."""
        self.now += seconds
        self.look(*running)
        task = self.of._task
        if task is not None:
            await asyncio.wait({task}, timeout=3 * DEADLINE)


def watched(
    swap: Swap, then: Callable[[Watch, Swap], Any], name_of: Callable[[str], str] = str
) -> Watch:
    async def situation() -> Watch:
        watch = Watch(swap, name_of)
        await then(watch, swap)
        watch.of.close()
        return watch

    return run(situation())


def test_nothing_is_asked_while_nothing_is_silent() -> None:
    """No request, one that is young, and one whose tokens come: however long it takes."""

    async def then(watch: Watch, swap: Swap) -> None:
        await watch.later(10_000)
        stream = Asked(watch.now)
        await watch.later(SILENCE - 1, stream)
        for _ in range(10):
            stream.came += 1
            await watch.later(SILENCE - 1, stream)

    assert watched(swap := Swap(), then).stuck == {}
    assert swap.asked == []


def test_a_model_without_a_token_is_found_and_freed_when_one_comes() -> None:
    async def then(watch: Watch, swap: Swap) -> None:
        swap.tokens = lambda: None
        await watch.later(SILENCE, Asked(watch.now))
        assert list(watch.stuck) == ["gpt"]
        swap.tokens = lambda: 200
        await until(lambda: not watch.stuck)
        count = len(swap.asked)
        await asyncio.sleep(0.1)
        assert len(swap.asked) == count, "it is let alone"

    watched(Swap(), then)


def test_it_is_found_though_new_requests_come() -> None:
    """And though others leave without an answer."""

    async def then(watch: Watch, swap: Swap) -> None:
        swap.tokens = lambda: None
        first = Asked(watch.now)
        for _ in range(40):
            await watch.later(1, first, Asked(watch.now))

    assert list(watched(Swap(), then).stuck) == ["gpt"]


def test_a_stream_that_stops_in_the_middle_is_silent_too() -> None:
    async def then(watch: Watch, swap: Swap) -> None:
        swap.tokens = lambda: None
        stream = Asked(watch.now, came=5)
        await watch.later(1, stream)
        await watch.later(SILENCE - 1, stream)
        assert swap.asked == []
        await watch.later(1, stream)

    assert list(watched(Swap(), then).stuck) == ["gpt"]


def test_a_long_prompt_in_the_only_slot_is_no_fault() -> None:
    """The token that is asked for waits behind it; the slot gets on."""
    steps = iter(range(100))

    async def then(watch: Watch, swap: Swap) -> None:
        swap.tokens = lambda: None
        swap.slots = lambda: slots((1, 512 * next(steps), 0))
        for _ in range(3):
            await watch.later(SILENCE, Asked(0.0))

    assert watched(swap := Swap(), then).stuck == {}
    assert swap.decodes == 3


@pytest.mark.parametrize(
    "told",
    [slots((1, 512, 0)), None, b"not found", b'{"error": {}}', b"[]", b"[{}]", b"null"],
    ids=["at a stand", "no answer", "text", "error", "none", "odd", "null"],
)
def test_slots_that_do_not_get_on_are_no_excuse(told: bytes | None) -> None:
    async def then(watch: Watch, swap: Swap) -> None:
        swap.tokens, swap.slots = lambda: None, lambda: told
        await watch.later(SILENCE, Asked(watch.now))

    assert list(watched(Swap(), then).stuck) == ["gpt"]


def test_our_own_question_in_a_free_slot_is_no_progress() -> None:
    before = llama_server_slots.read(slots((1, 512, 0)))
    after = llama_server_slots.read(slots((1, 512, 0), (2, 1, 0)))

    assert not llama_server_slots.got_on(before, after)
    assert llama_server_slots.got_on(before, llama_server_slots.read(slots((1, 512, 1))))
    assert llama_server_slots.got_on(before, {}), "it is over"


@pytest.mark.parametrize("state", ["starting", "stopping", None])
def test_only_loaded_models_are_asked(state: str | None) -> None:
    """So none is woken, and none is blamed for its loading."""

    async def then(watch: Watch, swap: Swap) -> None:
        swap.running = {} if state is None else {"gpt": state}
        await watch.later(SILENCE, Asked(watch.now))

    assert watched(swap := Swap(), then).stuck == {}
    assert swap.decodes == 0


@pytest.mark.parametrize("status", [404, 501, 429, 500, 502, 503])
def test_who_refuses_answers(status: int) -> None:
    """An embedding model has no tokens, llama-swap is full or ends."""

    async def then(watch: Watch, swap: Swap) -> None:
        swap.tokens = lambda: status
        await watch.later(SILENCE, Asked(watch.now))

    assert watched(swap := Swap(), then).stuck == {}
    assert swap.decodes == 1


def test_what_is_unloaded_is_stuck_no_more() -> None:
    async def then(watch: Watch, swap: Swap) -> None:
        swap.tokens = lambda: None
        await watch.later(SILENCE, Asked(watch.now))
        assert watch.stuck
        swap.running = {}
        await until(lambda: not watch.stuck)

    watched(Swap(), then)


def test_one_model_is_not_asked_for_another() -> None:
    """An alias that nobody explained may be any of them."""

    def ask(called: str, name_of: Callable[[str], str] = str) -> list[str]:
        async def then(watch: Watch, swap: Swap) -> None:
            await watch.later(SILENCE, Asked(watch.now, called))

        swap = Swap({"gpt": "ready", "a b/c": "ready"})
        watched(swap, then, name_of)
        return sorted(line for line in swap.asked if line.endswith("/completion"))

    gpt, other = "POST /upstream/gpt/completion", "POST /upstream/a%20b/c/completion"
    assert ask("gpt") == [gpt]
    assert ask("a b/c") == [other]
    assert ask("fast", {"fast": "gpt"}.__getitem__) == [gpt]
    assert ask("fast") == [other, gpt]


def test_on_demand_all_loaded_models_are_asked() -> None:
    async def then(watch: Watch, swap: Swap) -> None:
        swap.running = {"gpt": "ready", "next": "starting"}
        assert await watch.of.check() == {"gpt": "answers"}
        swap.tokens = lambda: None
        assert await watch.of.check() == {"gpt": "none in 0 s"}
        assert list(watch.stuck) == ["gpt"]
        swap.tokens = lambda: 200
        await until(lambda: not watch.stuck)

    watched(Swap(), then)
