"""Errors of llama-swap on their way down: in the client's dialect, or to the byte as they came."""

import asyncio
import json
from pathlib import Path

import openai
import pytest
from aiohttp import ClientSession

from tests.proxy.support.policy import ANNA, ROOT
from tests.proxy.support.proxy import (
    Seen,
    Wire,
    answer,
    body,
    error,
    headers,
    read_head,
    run,
    status,
)
from tests.proxy.support.stack import stack
from tests.proxy.test_exchange import Recorder, under

SWAP = b'{"error":"no router for requested model","src":"llama-swap"}'
LOADING = b'{"error":{"message":"Loading model","type":"unavailable_error","code":503}}'
JSON = "Content-Type: application/json\r\n"
PLAIN = "Content-Type: text/plain; charset=utf-8\r\n"
CHAT = {"model": "gpt-oss", "messages": [{"role": "user", "content": "Hello"}]}


def test_openai_client_reads_llama_swaps_error(tmp_path: Path) -> None:
    """Message and code, where llama-swap 250 has a bare string."""

    async def situation() -> None:
        async with stack(tmp_path, answer(JSON, SWAP, "404 Not Found")) as proxy:
            with pytest.raises(openai.NotFoundError) as caught:
                await proxy.openai(ANNA).chat.completions.create(**CHAT)  # type: ignore[call-overload]
            assert caught.value.code == "model_not_found"
            assert "no model of this name here" in caught.value.message
            assert "/v1/models" in caught.value.message

    run(situation())


@pytest.mark.parametrize("said", [SWAP, LOADING])
def test_anthropic_client_reads_each_error(tmp_path: Path, said: bytes) -> None:
    """Its type is at another place, and a loading model is an overloaded one."""
    import anthropic

    async def situation() -> None:
        async with stack(tmp_path, answer(JSON, said, "503 Service Unavailable")) as proxy:
            with pytest.raises(anthropic.APIStatusError) as caught:
                await proxy.anthropic(ANNA).messages.create(max_tokens=9, **CHAT)  # type: ignore[call-overload]
            assert caught.value.status_code == 503
            assert caught.value.body["error"]["type"] == "overloaded_error"  # type: ignore[index]
            assert caught.value.response.headers["retry-after"] == "5"

    run(situation())


@pytest.mark.parametrize(
    ("path", "head", "said", "same"),
    [
        ("/v1/chat/completions", JSON, LOADING.replace(b"503", b'"503"'), True),
        ("/v1/chat/completions", JSON, LOADING, False),
        ("/v1/chat/completions", JSON, SWAP, False),
        ("/v1/chat/completions", PLAIN, b"llama-swap: busy\n", False),
        ("/v1/chat/completions", "Content-Type: text/html\r\n", b"<p>no", True),
        ("/v1/chat/completions", JSON + "Content-Encoding: gzip\r\n", b"\x1f\x8b", True),
        ("/api/models/unload/x", JSON, SWAP, True),
    ],
)
def test_what_passes_as_it_came(
    tmp_path: Path, path: str, head: str, said: bytes, same: bool
) -> None:
    """What is in the dialect, what is no text, and the dashboard's own."""

    async def situation() -> None:
        async with stack(tmp_path, answer(head, said, "500 Whatever")) as proxy:
            authorized = {"Authorization": f"Bearer {ROOT}"}
            async with (
                ClientSession(headers=authorized, auto_decompress=False) as session,
                session.post(proxy.url + path, json=CHAT) as reply,
            ):
                got = await reply.read()
                assert (reply.status, reply.reason) == (500, "Whatever")
                assert (got == said) is same
                if not same:
                    assert set(json.loads(got)["error"]) == {"message", "type", "param", "code"}
                    assert reply.content_type == "application/json"

    run(situation())


def test_text_for_a_client_that_asks_for_it_stays(tmp_path: Path) -> None:
    """llama-swap says text to such a one, and so do we."""

    async def situation() -> None:
        async with stack(tmp_path, answer(PLAIN, b"llama-swap: busy", "429 Busy")) as proxy:
            asks = {"Authorization": f"Bearer {ROOT}", "Accept": "text/plain"}
            async with (
                ClientSession(headers=asks) as session,
                session.post(f"{proxy.url}/v1/completions", json=CHAT) as reply,
            ):
                assert await reply.read() == b"llama-swap: busy"

    run(situation())


async def chunked(_: Seen, wire: Wire) -> None:
    await wire.send(f"HTTP/1.1 404 Gone\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n".encode())
    for start in range(0, len(SWAP), 10):
        await wire.chunk(SWAP[start : start + 10])
        await asyncio.sleep(0.001)
    await wire.send(b"0\r\n\r\n")


async def closing(_: Seen, wire: Wire) -> None:
    await wire.send(f"HTTP/1.1 404 Gone\r\n{JSON}\r\n".encode() + SWAP)
    wire.writer.close()


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("script", [chunked, closing, answer(JSON, SWAP, "404 Gone")])
@pytest.mark.parametrize("translation", [b"", b'{"error":"in other words"}'])
def test_every_framing(version: str, script: object, translation: bytes) -> None:
    """The policy sees all of it once; the ticket sees what the client gets."""
    policy = Recorder(translation=translation)

    async def situation() -> None:
        async with under(policy, script) as (proxy, _):  # type: ignore[arg-type]
            got = await proxy.ask(f"POST / HTTP/{version}")

            assert status(got) == 404
            content = body(got)
            if "transfer-encoding" in headers(got):
                assert (version, translation) == ("1.1", b"")
                assert content.endswith(b"0\r\n\r\n")
            else:
                assert content == (translation or SWAP)
            assert "retry-after" not in headers(got)

    run(situation())
    assert policy.said == [
        "authenticate", "admit None", "translate 404", "head 404", "finish", "done"
    ]  # fmt: skip
    assert policy.passed == (translation or SWAP)
    assert (policy.outcomes[0].status, policy.outcomes[0].sent) == (404, len(policy.passed))


def test_large_error_is_not_waited_for() -> None:
    """The client sees its beginning while the rest is not there yet."""
    go_on = asyncio.Event()
    policy = Recorder(translation=b"never")

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(f"HTTP/1.1 500 X\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n".encode())
        await wire.chunk(b"x" * 10_000)
        await wire.chunk(b"y" * 10_000)
        await go_on.wait()
        await wire.chunk(b"z")
        await wire.send(b"0\r\n\r\n")

    async def situation() -> None:
        async with under(policy, script) as (proxy, _):
            reader, writer = await proxy.begin(head="Content-Length: 0\r\n")
            assert status(await read_head(reader)) == 500
            await reader.readuntil(b"y" * 10_000)
            go_on.set()
            await reader.readuntil(b"0\r\n\r\n")
            writer.close()

    run(situation())
    assert policy.passed == b"x" * 10_000 + b"y" * 10_000 + b"z"


def test_half_an_error_is_a_502() -> None:
    """Nothing of it was sent, so the client can be told."""

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(f"HTTP/1.1 500 X\r\n{JSON}Content-Length: 99\r\n\r\n{{".encode())
        wire.die()

    policy = Recorder()

    async def situation() -> None:
        async with under(policy, script) as (proxy, _):
            assert status(await proxy.ask()) == 502

    run(situation())
    assert policy.said[-2:] == ["finish", "done"]


@pytest.mark.parametrize(("own", "told"), [("", "5"), ("Retry-After: 17\r\n", "17")])
def test_unavailable_says_when_to_come_back(own: str, told: str) -> None:
    """llama-swap's own word, or ours."""

    async def situation() -> None:
        script = answer(JSON + own, LOADING, "503 Service Unavailable")
        async with under(Recorder(), script) as (proxy, _):
            got = await proxy.ask()

            assert headers(got)["retry-after"] == told
            assert error_of(got) == "Loading model"

    run(situation())


def error_of(got: bytes) -> str:
    found: str = json.loads(body(got))["error"]["message"]
    return found


def test_event_stream_of_an_error_status_is_not_held_back() -> None:
    """Neither is an answer to HEAD."""
    policy = Recorder(translation=b"never")

    async def script(seen: Seen, wire: Wire) -> None:
        if seen.line.startswith("HEAD"):
            await wire.send(f"HTTP/1.1 404 No\r\n{JSON}Content-Length: 60\r\n\r\n".encode())
        else:
            await wire.send(
                b"HTTP/1.1 500 X\r\nContent-Type: text/event-stream\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
            )
            await wire.chunk(b"data: 1\n\n")
            await wire.closed_by_peer()

    async def situation() -> None:
        async with under(policy, script) as (proxy, _):
            assert headers(await proxy.ask("HEAD / HTTP/1.1"))["content-length"] == "60"
            reader, writer = await proxy.begin(head="Content-Length: 0\r\n")
            await reader.readuntil(b"data: 1\n\n")
            writer.close()

    run(situation())
    assert not [said for said in policy.said if said.startswith("translate")]


def test_error_above_is_counted_with_its_own_status(tmp_path: Path) -> None:
    """In the shape of OpenAI, to the last field."""

    async def situation() -> None:
        async with stack(tmp_path, answer(JSON, SWAP, "429 Busy")) as proxy:
            headers_ = {"Authorization": f"Bearer {ANNA}"}
            async with (
                ClientSession(headers=headers_) as session,
                session.post(f"{proxy.url}/v1/chat/completions", json=CHAT) as reply,
            ):
                found = error(b"HTTP/1.1 429 X\r\n\r\n" + await reply.read())
                assert found["code"] == "rate_limit_exceeded"

    run(situation())
