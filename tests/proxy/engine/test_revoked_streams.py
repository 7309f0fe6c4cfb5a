"""Streams and sessions that end before their time, with real clients over sockets."""

import asyncio
import json
from pathlib import Path
from typing import Any

import openai
import pytest
from aiohttp import ClientSession, CookieJar

from tests.proxy.support.policy import ANNA, ROOT, STANDARD
from tests.proxy.support.proxy import answer, run
from tests.proxy.support.stack import stack, streamed

CHAT = {"model": "gpt-oss", "messages": [{"role": "user", "content": "Hello"}]}
# Of `CHAT` as the client writes it, when the model has told nothing yet (decision 16).
UNTOLD = 2 * len(json.dumps({**CHAT, "stream": True}, separators=(",", ":")))


async def chat(client: openai.AsyncOpenAI, **more: Any) -> Any:
    return await client.chat.completions.create(**CHAT, **more)


def test_revoked_key_loses_its_stream_while_another_goes_on(tmp_path: Path) -> None:
    """llama-swap is told at once; what was sent is charged, and the prompt that nobody counted."""
    first = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"gpt-oss",' \
            b'"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'  # fmt: skip

    async def situation() -> None:
        told = asyncio.Event()
        async with stack(tmp_path, streamed(first, first, hold=told)) as proxy:
            gone = await chat(proxy.openai(ANNA), stream=True)
            stays = await chat(proxy.openai(ROOT), stream=True)
            await anext(aiter(gone))
            await anext(aiter(stays))
            proxy.write(STANDARD[2])
            with pytest.raises(openai.APIConnectionError):
                async for _ in gone:
                    pass
            await asyncio.wait_for(told.wait(), 2)
            await asyncio.sleep(0.5)
            assert ("anna", "gpt-oss", 1, 1, UNTOLD, 2) in await proxy.used()
            with pytest.raises(openai.AuthenticationError):
                await chat(proxy.openai(ANNA))
            assert await anext(aiter(stays))

    run(situation())


def test_cancelled_stream_is_charged_by_what_was_sent(tmp_path: Path) -> None:
    """By its events, and the prompt by its bytes."""
    event = b'data: {"choices": [{"index": 0, "delta": {"content": "x"}}]}\n\n'

    async def situation() -> None:
        told = asyncio.Event()
        async with stack(tmp_path, streamed(*[event] * 5, hold=told)) as proxy:
            stream = await chat(proxy.openai(), stream=True)
            for _ in range(5):
                await anext(aiter(stream))
            await stream.close()
            await asyncio.wait_for(told.wait(), 2)
            await asyncio.sleep(1)
            assert await proxy.used() == [("anna", "gpt-oss", 1, 1, UNTOLD, 5)]

    run(situation())


def test_session_of_a_browser_never_reaches_llama_swap(tmp_path: Path) -> None:
    """It is a credential; neither does the cookie beside a key."""

    async def situation() -> None:
        async with stack(tmp_path, answer()) as proxy:
            own = {"Origin": proxy.url, "Sec-Fetch-Site": "same-origin"}
            async with ClientSession(proxy.url, headers=own, cookie_jar=jar()) as browser:
                async with browser.get("/running", headers={"Accept": "text/html"}) as form:
                    assert form.url.path == "/login"
                body = {"key": ROOT}
                async with browser.post("/login", data=body, allow_redirects=False) as reply:
                    assert (reply.status, reply.headers["Location"]) == (303, "/ui/")
                bearer = {"Authorization": f"Bearer {ROOT}"}
                for headers in ({}, bearer):
                    async with browser.get("/running", headers=headers) as reply:
                        assert reply.status == 200
                async with browser.post("/logout", allow_redirects=False) as reply:
                    assert reply.status == 303
                async with browser.get("/running") as reply:
                    assert reply.status == 401
            assert [seen.line for seen in proxy.upstream.seen] == ["GET /running HTTP/1.1"] * 2
            assert not any(seen.all("Cookie") for seen in proxy.upstream.seen)

    run(situation())


def jar() -> CookieJar:
    return CookieJar(unsafe=True)  # of an address instead of a name
