"""What users of the OpenAI and Anthropic clients see when something is in the way."""

import asyncio
import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.support.policy import ANNA, entry
from tests.proxy.support.proxy import STREAM_HEAD, Seen, Wire, answer, run
from tests.proxy.support.stack import Stack, stack

CHAT: Any = {"model": "gpt-oss", "messages": [{"role": "user", "content": "Hello"}]}
JSON = "Content-Type: application/json\r\n"
LOADING = b'{"error":"[gpt-oss] process is not ready","src":"llama-swap"}'
UNKNOWN = b'{"error":"no router for requested model","src":"llama-swap"}'


async def ask(proxy: Stack, dialect: str, key: str = ANNA, **more: Any) -> Any:
    """One question by one of the two clients."""
    if dialect == "openai":
        return await proxy.openai(key).chat.completions.create(**CHAT | more)
    return await proxy.anthropic(key).messages.create(max_tokens=5, **CHAT | more)


def kind(dialect: str, error_class: str) -> type[Exception]:
    """Of an error, as the client of a dialect has it."""
    found = getattr(importlib.import_module(dialect), error_class)
    assert issubclass(found, Exception)
    return found


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("dialect", "status", "said", "error_class", "named"),
    [
        ("openai", "503 Service Unavailable", LOADING, "InternalServerError", "model_loading"),
        ("openai", "404 Not Found", UNKNOWN, "NotFoundError", "model_not_found"),
        ("anthropic", "503 Service Unavailable", LOADING, "APIStatusError", "overloaded_error"),
        ("anthropic", "404 Not Found", UNKNOWN, "NotFoundError", "not_found_error"),
    ],
)  # fmt: skip
def test_llama_swaps_words_are_the_clients(
    tmp_path: Path, dialect: str, status: str, said: bytes, error_class: str, named: str,
    stream: bool,
) -> None:  # fmt: skip
    """A model that loads and one that does not exist, asked for a stream or not."""

    async def situation() -> None:
        async with stack(tmp_path, answer(JSON, said, status)) as proxy:
            with pytest.raises(kind(dialect, error_class)) as refused:
                await ask(proxy, dialect, stream=stream)
            error: Any = refused.value
            assert str(error.status_code) == status[:3]
            shown = error.code if dialect == "openai" else error.body["error"]["type"]
            assert shown == named
            words = "no model of this name here" if said == UNKNOWN else json.loads(said)["error"]
            assert words in str(error)

    run(situation())


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_wrong_key_of_a_stream(tmp_path: Path, dialect: str) -> None:
    """Is told before anything is asked of llama-swap."""

    async def situation() -> None:
        async with stack(tmp_path, answer()) as proxy:
            with pytest.raises(kind(dialect, "AuthenticationError")):
                await ask(proxy, dialect, "wrong", stream=True)
            assert not proxy.upstream.connections

    run(situation())


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("limit", ["rpm", "parallel"])
def test_limits_have_numbers(tmp_path: Path, dialect: str, limit: str) -> None:
    """And are over when the client hangs up, or the minute is."""
    told = asyncio.Event()

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(STREAM_HEAD)
        await wire.chunk(b'data: {"choices": []}\n\n')
        await wire.closed_by_peer()
        told.set()

    async def situation() -> None:
        async with stack(tmp_path, script) as proxy:
            proxy.write(entry("anna", ANNA, **{limit: 1}))
            stream = await ask(proxy, dialect, stream=True)
            with pytest.raises(kind(dialect, "RateLimitError")) as refused:
                await ask(proxy, dialect, stream=True)
            error: Any = refused.value
            heads = error.response.headers
            if limit == "rpm":
                assert 55 <= int(heads["Retry-After"]) <= 60
                assert heads["x-ratelimit-limit-requests"] == "1"
                assert heads["x-ratelimit-remaining-requests"] == "0"
            else:
                assert heads["Retry-After"] == "1"
            await stream.close()
            await asyncio.wait_for(told.wait(), 1)
            if limit == "parallel":
                await (await ask(proxy, dialect, stream=True)).close()

    run(situation())


def test_stopped_anthropic_stream_stops_llama_swap(tmp_path: Path) -> None:
    """In the middle of its events."""
    told = asyncio.Event()
    first = b'event: ping\ndata: {"type": "ping"}\n\n'

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(STREAM_HEAD)
        await wire.chunk(first)
        await wire.closed_by_peer()
        told.set()

    async def situation() -> None:
        async with stack(tmp_path, script) as proxy:
            stream = await ask(proxy, "anthropic", stream=True)
            await stream.close()
            await asyncio.wait_for(told.wait(), 1)

    run(situation())
