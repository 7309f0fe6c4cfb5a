"""llama-swap not there, not itself, or back again: what the client is told."""

import asyncio

import pytest

from tests.proxy.support.proxy import (
    KEY,
    Seen,
    Upstream,
    Wire,
    answer,
    body,
    error,
    headers,
    listening,
    proxied,
    proxy_to,
    read_head,
    run,
    status,
)


def test_upstream_that_is_down_is_a_503_that_says_when_to_come_back() -> None:
    """launchd starts it again; OpenAI's clients wait as told and try again."""

    async def situation() -> None:
        async with listening(Upstream(answer())) as upstream:
            port = upstream.port
        async with proxy_to(port) as proxy:
            got = await proxy.ask("POST /v1/chat/completions HTTP/1.1", body=b"{}")

            assert status(got) == 503
            assert headers(got)["retry-after"] == "5"
            assert error(got)["code"] == "upstream_unavailable"
            assert "llama-swap is not reachable" in error(got)["message"]

    run(situation())


@pytest.mark.parametrize("answered", [b"", b"HTTP/1.1 200 OK\r\nConte", b"SSH-2.0-x\r\n\r\n"])
def test_answer_that_is_none_is_a_502(answered: bytes) -> None:
    """An end before the head, an end within it, or another protocol."""

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(answered)
        wire.die()

    async def situation() -> None:
        async with proxied(script) as (proxy, upstream):
            got = await proxy.ask("POST / HTTP/1.1", body=b"{}")

            assert status(got) == 502
            assert error(got)["code"] == "upstream_error"
            assert len(upstream.seen) == 1, "a POST is not sent twice"

    run(situation())


def test_connection_goes_on_after_a_502() -> None:
    """The failure is llama-swap's, not this connection's."""
    calls = 0

    async def script(seen: Seen, wire: Wire) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            wire.die()
        else:
            await answer(body=b"back")(seen, wire)

    async def situation() -> None:
        async with proxied(script) as (proxy, _):
            reader, writer = await proxy.begin(head="Content-Length: 2\r\n")
            writer.write(b"{}")
            head = await read_head(reader)
            assert status(head) == 502
            await reader.readexactly(int(headers(head)["content-length"]))
            writer.write(f"GET / HTTP/1.1\r\nHost: x\r\nx-api-key: {KEY}\r\n\r\n".encode())
            assert status(await read_head(reader)) == 200
            writer.close()

    run(situation())


@pytest.mark.parametrize("code", [404, 429, 500, 503])
def test_errors_of_the_upstream_pass_unchanged(code: int) -> None:
    """Its words and its Retry-After, not ours."""
    said = b'{"src":"llama-swap","error":"no router for requested model"}'

    async def situation() -> None:
        script = answer("Retry-After: 1\r\n", said, f"{code} Whatever")
        async with proxied(script) as (proxy, _):
            got = await proxy.ask()

            assert (status(got), body(got)) == (code, said)
            assert headers(got)["retry-after"] == "1"

    run(situation())


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_restarted_upstream_is_found_again(method: str) -> None:
    """Kept connections to the old one are not held against the next request."""

    async def script(seen: Seen, wire: Wire) -> None:
        await answer(body=b"old")(seen, wire)
        if "/last" in seen.line:
            wire.die()

    async def situation() -> None:
        async with proxied(script) as (proxy, upstream):
            for path in ("/", "/last"):
                assert body(await proxy.ask(f"{method} {path} HTTP/1.1", body=b"{}")) == b"old"
            assert upstream.connections == 1
            await asyncio.sleep(0.05)

            upstream.script = answer(body=b"new")
            assert body(await proxy.ask(f"{method} / HTTP/1.1", body=b"{}")) == b"new"

    run(situation())


def test_connections_to_the_upstream_are_used_again() -> None:
    """A handshake for each token count would be waste."""

    async def situation() -> None:
        async with proxied(answer()) as (proxy, upstream):
            for _ in range(5):
                await proxy.ask()

            assert upstream.connections == 1

    run(situation())


def test_abandoned_connection_is_not_used_again() -> None:
    """The rest of one client's answer must not begin another's."""

    async def script(seen: Seen, wire: Wire) -> None:
        if "/first" in seen.line:
            await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nsecre")
            await wire.closed_by_peer()
        else:
            await answer(body=b"mine")(seen, wire)

    async def situation() -> None:
        async with proxied(script) as (proxy, upstream):
            reader, writer = await proxy.begin("GET /first HTTP/1.1")
            await reader.readuntil(b"secre")
            writer.close()
            await asyncio.sleep(0.05)

            assert body(await proxy.ask("GET /second HTTP/1.1")) == b"mine"
            assert upstream.connections == 2

    run(situation())
