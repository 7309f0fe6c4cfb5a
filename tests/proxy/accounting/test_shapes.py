"""A table of shapes of requests against a real llama-server: no shape costs less than it took.

What llama-server computed is what its own `/metrics` say; prompts it had cached are not in these.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from proxy.accounting import estimate
from proxy.accounting.usage import Usage
from proxy.app import Settings, create_engine
from proxy.keys.store import KeyStore
from proxy.policy.policy import HerdPolicy, PolicyState
from tests.proxy.support.llama_server import get, llama_server
from tests.proxy.support.policy import ANNA, STANDARD, until
from tests.proxy.support.proxy import run

TEXT = "A herd of cows, all awake. " * 10


def saying(first: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": first + TEXT}]}


MESSAGES = saying("")
PROMPT = {"prompt": TEXT}
LONG = {"n_predict": 30, "ignore_eos": True, "cache_prompt": False}
MOST = {"max_tokens": 30, "ignore_eos": True, "cache_prompt": False}
PROBABLE = {"n_probs": 20}
STREAM = {"stream": True}

# name: path, body, whether the answer tells all of it, events to wait for (0: to the end)
Shape = tuple[str, dict[str, Any], bool, int]
SHAPES: dict[str, Shape] = {
    "chat": ("/v1/chat/completions", {**MESSAGES, **MOST}, True, 0),
    "chat, logprobs": (
        "/v1/chat/completions",
        {**MESSAGES, **MOST, "logprobs": True, "top_logprobs": 20},
        True,
        0,
    ),
    "chat, stream": ("/v1/chat/completions", {**MESSAGES, **MOST, **STREAM}, True, 0),
    "chat, stream with usage": (
        "/v1/chat/completions",
        {**MESSAGES, **MOST, **STREAM, "stream_options": {"include_usage": True}},
        True,
        0,
    ),
    "chat, progress and timings": (
        "/v1/chat/completions",
        {**MESSAGES, **MOST, **STREAM, "return_progress": True, "timings_per_token": True},
        True,
        0,
    ),
    "chat, left": ("/v1/chat/completions", {**MESSAGES, **MOST, **STREAM}, False, 5),
    "completions": ("/v1/completions", {**PROMPT, **MOST}, True, 0),
    "completions, several prompts": (
        "/v1/completions",
        {"prompt": [TEXT, TEXT * 2, "x"], **MOST},
        False,
        0,
    ),
    "completions, several prompts, stream": (
        "/v1/completions",
        {"prompt": [TEXT, TEXT * 2, "x"], **MOST, **STREAM},
        True,
        0,
    ),
    "completions, n": ("/v1/completions", {**PROMPT, **MOST, "n": 2}, False, 0),
    "completion": ("/completion", {**PROMPT, **LONG}, True, 0),
    "completion, n_probs": ("/completion", {**PROMPT, **LONG, **PROBABLE}, True, 0),
    "completion, eight prompts": ("/completion", {"prompt": [TEXT] * 8, **LONG}, True, 0),
    "completion, eight prompts, left": (
        "/completion",
        {"prompt": [TEXT] * 8, **LONG, **STREAM},
        False,
        40,
    ),
    "completion, content": (
        "/completion",
        {**PROMPT, **LONG, "response_fields": ["content"]},
        False,
        0,
    ),
    "completion, stream": ("/completion", {**PROMPT, **LONG, **STREAM}, True, 0),
    # Texts of their own: here, what llama-server has cached it uses whatever is asked.
    "messages": ("/v1/messages", {**saying("Plain. "), **MOST}, True, 0),
    "messages, stream": ("/v1/messages", {**saying("Streamed. "), **MOST, **STREAM}, True, 0),
    "responses": ("/v1/responses", {"input": TEXT, "max_output_tokens": 30, **MOST}, True, 0),
    "responses, stream": ("/v1/responses", {"input": TEXT, **MOST, **STREAM}, True, 0),
    "count_tokens": ("/v1/messages/count_tokens", MESSAGES, True, 0),
}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a llama-server that serves a small model."""
    with llama_server(tmp_path_factory.mktemp("server"), "-np", "4", "-c", "16384") as number:
        yield number


def computed(port: int) -> tuple[int, int]:
    """Tokens of prompts and of answers since its start, once nothing is under way."""
    until(lambda: "llamacpp:requests_processing 0" in get(port, "/metrics"), 30)
    told = get(port, "/metrics")
    prompt, completion = (
        re.search(rf"^llamacpp:{name}_total (\S+)$", told, re.MULTILINE)
        for name in ("prompt_tokens", "tokens_predicted")
    )
    assert prompt
    assert completion
    return int(float(prompt[1])), int(float(completion[1]))


@pytest.mark.parametrize("name", SHAPES)
def test_no_shape_costs_less_than_it_took(
    tmp_path: Path, port: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is told costs no more."""
    # This tiny model reads faster than any that is worth a limit.
    monkeypatch.setattr(estimate, "READ", 1e7)
    path, body, told, events = SHAPES[name]
    before = computed(port)

    async def situation() -> tuple[int, int]:
        (tmp_path / "config.json").write_text(json.dumps({"apiKeys": STANDARD}))
        keys, usage = KeyStore(tmp_path / "config.json"), Usage(tmp_path / "usage.db")
        policy = HerdPolicy(PolicyState(keys, usage))
        upstream = f"http://127.0.0.1:{port}"
        engine = create_engine(Settings(keys=keys, upstream=upstream, policy=policy))
        _, own = await engine.listen("127.0.0.1", 0)
        try:
            await ask(f"http://127.0.0.1:{own}{path}", body, events)
            for _ in range(600):
                rows = usage.rows()
                if sum(row.requests for row in rows):  # before that, what was settled meanwhile
                    return sum(row.prompt for row in rows), sum(row.completion for row in rows)
                await asyncio.sleep(0.05)
            raise AssertionError("nothing is in the books")
        finally:
            engine.close()
            await engine.closed(1)
            usage.close()

    prompt, completion = run(situation(), 60)
    after = computed(port)
    took = after[0] - before[0], after[1] - before[1]
    print(f"\n{name}: took {took}, charged {(prompt, completion)}")
    assert prompt >= took[0]
    slack = 10 if events else 1  # what it makes until it sees that the client has left
    assert completion >= took[1] - slack
    if told:
        assert prompt <= took[0] + 40  # the chat template's beginning may be cached
        assert completion <= took[1] + 1


async def ask(url: str, body: dict[str, Any], events: int) -> None:
    headers = {"Authorization": f"Bearer {ANNA}"}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.post(url, json={"model": "gpt-oss", **body}) as response,
    ):
        assert response.status == 200, await response.text()
        if not events:
            await response.read()
            return
        seen = 0
        async for line in response.content:
            seen += line.startswith(b"data:")
            if seen == events:
                return
