"""The real OpenAI client against the proxy: what its users do, and what they see when it fails."""

import asyncio
import json
from typing import Any

import httpx2
import openai
import pytest

from tests.proxy.support.proxy import (
    KEY,
    STREAM_HEAD,
    Seen,
    Upstream,
    Wire,
    answer,
    listening,
    proxied,
    proxy_to,
    run,
)

MESSAGES: Any = [{"role": "user", "content": "Grüße"}]


def chunk(text: str | None, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    data = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + json.dumps({**data, "choices": [choice]}).encode() + b"\n\n"


COMPLETION = json.dumps(
    {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "Guten Tag"},
            }
        ],
    }
).encode()


def client(url: str, key: str = KEY, retries: int = 0) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=retries)


async def begin_stream(api: openai.AsyncOpenAI) -> Any:
    return await api.chat.completions.create(model="m", messages=MESSAGES, stream=True)


def test_completion() -> None:
    """The request arrives as the client made it."""

    async def situation() -> None:
        script = answer("Content-Type: application/json\r\n", COMPLETION)
        async with proxied(script) as (proxy, upstream), client(proxy.url) as api:
            got = await api.chat.completions.create(model="m", messages=MESSAGES)

            assert got.choices[0].message.content == "Guten Tag"
            assert upstream.seen[0].line == "POST /v1/chat/completions HTTP/1.1"
            assert json.loads(upstream.seen[0].body)["messages"] == MESSAGES
            assert KEY not in repr(upstream.seen)

    run(situation())


def test_streamed_completion_comes_token_by_token() -> None:
    """The second token is made only when the client has the first."""
    go_on = asyncio.Event()

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(STREAM_HEAD)
        await wire.chunk(b": loading\n\n")
        await wire.chunk(chunk("Guten "))
        await go_on.wait()
        await wire.chunk(chunk("Tag"))
        await wire.chunk(chunk(None, "stop") + b"data: [DONE]\n\n")
        await wire.send(b"0\r\n\r\n")

    async def situation() -> None:
        async with proxied(script) as (proxy, _), client(proxy.url) as api:
            stream: Any = await api.chat.completions.create(
                model="m", messages=MESSAGES, stream=True
            )
            got = []
            async for part in stream:
                got.append(part.choices[0].delta.content)
                go_on.set()

            assert got == ["Guten ", "Tag", None]

    run(situation())


def test_wrong_key_is_an_authentication_error() -> None:
    """With the message and code that users search for."""

    async def situation() -> None:
        async with proxied(answer()) as (proxy, upstream), client(proxy.url, "wrong") as api:
            with pytest.raises(openai.AuthenticationError) as caught:
                await api.models.list()

            assert caught.value.code == "invalid_api_key"
            assert caught.value.type == "invalid_request_error"
            assert caught.value.request_id
            assert upstream.connections == 0

    run(situation())


def test_upstream_that_is_down_is_an_internal_server_error_with_words() -> None:
    """The user reads that it is llama-swap, not the key."""

    async def situation() -> None:
        async with listening(Upstream(answer())) as upstream:
            port = upstream.port
        async with proxy_to(port) as proxy, client(proxy.url) as api:
            with pytest.raises(openai.InternalServerError) as caught:
                await api.models.list()

            assert caught.value.status_code == 503
            assert caught.value.code == "upstream_unavailable"
            assert "llama-swap is not reachable" in str(caught.value)

    run(situation())


def test_stream_that_breaks_off_raises() -> None:
    """Half an answer is an exception, not a short answer."""

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(STREAM_HEAD)
        await wire.chunk(chunk("Guten "))
        await asyncio.sleep(0.1)
        wire.die()

    async def situation() -> None:
        async with proxied(script) as (proxy, _), client(proxy.url) as api:
            stream: Any = await api.chat.completions.create(
                model="m", messages=MESSAGES, stream=True
            )
            with pytest.raises((openai.APIConnectionError, httpx2.HTTPError)):
                async for _ in stream:
                    pass

    run(situation())


def test_closed_stream_stops_the_upstream() -> None:
    """What the client does when its user presses stop."""
    stopped = asyncio.Event()

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(STREAM_HEAD)
        await wire.chunk(chunk("Guten "))
        await wire.closed_by_peer()
        stopped.set()

    async def situation() -> None:
        async with proxied(script) as (proxy, _), client(proxy.url) as api:
            stream: Any = await api.chat.completions.create(
                model="m", messages=MESSAGES, stream=True
            )
            async for _ in stream:
                break
            await stream.close()
            async with asyncio.timeout(1):
                await stopped.wait()

    run(situation())
