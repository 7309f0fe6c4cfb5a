"""The key check, over real connections: what gets in, what does not, and what llama-swap sees."""

import asyncio
import json

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

BAD_HEADS = {
    "no credential": "",
    "wrong key": "Authorization: Bearer sk-herd-wrong\r\n",
    "key in other case": f"Authorization: Bearer {KEY.upper()}\r\n",
    "key with more behind it": f"Authorization: Bearer {KEY}x\r\n",
    "half the key": f"Authorization: Bearer {KEY[:10]}\r\n",
    "no scheme": f"Authorization: {KEY}\r\n",
    "basic": f"Authorization: Basic {KEY}\r\n",
    "empty": "Authorization:\r\n",
    "right and wrong": f"Authorization: Bearer {KEY}\r\nAuthorization: Bearer x\r\n",
    "two in one header": f"Authorization: Bearer x, Bearer {KEY}\r\n",
    "both headers": f"Authorization: Bearer {KEY}\r\nx-api-key: wrong\r\n",
    "three headers": f"Authorization: Bearer {KEY}\r\nx-api-key: {KEY}\r\napi-key: x\r\n",
    "wrong x-api-key": "x-api-key: wrong\r\n",
    "not ASCII": "Authorization: Bearer sch\xfcssel\r\n",
    "not UTF-8": "Authorization: Bearer \xff\xfe\r\n",
    "proxy header": f"Proxy-Authorization: Bearer {KEY}\r\n",
}


@pytest.mark.parametrize("head", BAD_HEADS.values(), ids=BAD_HEADS)
def test_request_without_one_right_key_is_refused_and_goes_nowhere(head: str) -> None:
    """401 in OpenAI's shape; the upstream has not even a connection."""

    async def situation() -> None:
        async with proxied(answer()) as (proxy, upstream):
            start = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}"
            got = await proxy.raw(start.encode("latin-1") + b"Content-Length: 2\r\n\r\n{}")

            assert status(got) == 401
            assert headers(got)["www-authenticate"] == "Bearer"
            assert headers(got)["content-type"].startswith("application/json")
            assert error(got)["code"] == "invalid_api_key"
            assert error(got)["type"] == "invalid_request_error"
            assert KEY.encode() not in got
            assert upstream.connections == 0

    run(situation())


@pytest.mark.parametrize(
    "head",
    [f"Authorization: Bearer {KEY}", f"authorization: bEARER {KEY}", f"X-API-Key: {KEY}"],
)
def test_right_key_gets_in_and_is_not_sent_on(head: str) -> None:
    """llama-swap would pass it to llama-server and show it in captures."""

    async def situation() -> None:
        async with proxied(answer(body=b"hello")) as (proxy, upstream):
            request = f"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n\r\n"
            got = await proxy.raw(request.encode())

            assert (status(got), body(got)) == (200, b"hello")
            assert KEY not in repr(upstream.seen)
            assert not upstream.seen[0].all("Authorization") + upstream.seen[0].all("x-api-key")

    run(situation())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_healthz_is_open_and_answered_here(method: str) -> None:
    """It says that the proxy lives, whatever llama-swap does."""

    async def situation() -> None:
        async with proxied(answer()) as (proxy, upstream):
            request = f"{method} /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            got = await proxy.raw(request.encode())

            assert status(got) == 200
            assert body(got) == (b"ok\n" if method == "GET" else b"")
            assert upstream.connections == 0

    run(situation())


@pytest.mark.parametrize(
    "target",
    [
        "GET /",
        "POST /healthz",
        "GET /healthz/",
        "GET /healthz?x",
        "GET /%68ealthz",
        "GET /health",
        "GET //healthz",
        "GET /x/../healthz",
        "GET /metrics",
        "OPTIONS /v1/models",
        "OPTIONS *",
        "GET http://mac/healthz",
        "CONNECT mac:80",
    ],
)
def test_everything_else_needs_a_key(target: str) -> None:
    """However a path is written."""

    async def situation() -> None:
        async with proxied(answer()) as (proxy, upstream):
            request = f"{target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            got = await proxy.raw(request.encode())

            assert status(got) == 401
            assert upstream.connections == 0

    run(situation())


def test_client_that_asks_first_is_refused_before_it_sends() -> None:
    """With a wrong key there is no `100 Continue`."""

    async def situation() -> None:
        async with proxied(answer()) as (proxy, _):
            reader, writer = await proxy.connect()
            writer.write(
                b"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\n"
                b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
            )
            first = await read_head(reader)
            writer.close()

            assert status(first) == 401

    run(situation())


def test_client_that_asks_first_is_told_to_send_with_a_right_key() -> None:
    """`100 Continue` comes before the body, the answer after it."""

    async def situation() -> None:
        async with proxied(answer(body=b"thanks")) as (proxy, upstream):
            reader, writer = await proxy.begin(
                head="Expect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n"
            )
            assert status(await read_head(reader)) == 100
            writer.write(b"hello")
            got = await reader.read()
            writer.close()

            assert (status(got), body(got)) == (200, b"thanks")
            assert upstream.seen[0].body == b"hello"
            assert not upstream.seen[0].all("Expect")

    run(situation())


def test_client_that_asks_first_is_not_told_to_send_for_nothing() -> None:
    """With llama-swap down the refusal comes instead of the `100 Continue`."""

    async def situation() -> None:
        async with proxy_to(unused_port()) as proxy:
            reader, writer = await proxy.begin(head="Expect: 100-continue\r\nContent-Length: 5\r\n")
            assert status(await read_head(reader)) == 503
            writer.close()

    run(situation())


def unused_port() -> int:
    return 1  # nothing listens there without being root


def test_refusal_comes_before_the_body_is_there() -> None:
    """A stranger cannot make us read 100 MB to be told no."""

    async def situation() -> None:
        async with proxied(answer()) as (proxy, _):
            reader, writer = await proxy.connect()
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
            async with asyncio.timeout(1):
                assert status(await read_head(reader)) == 401
            writer.close()

    run(situation())


def test_changed_keys_count_on_open_connections_and_spare_a_running_stream() -> None:
    """The next request is judged by the new file; the stream that runs is left alone."""
    go_on = asyncio.Event()

    async def script(seen: Seen, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
        if "/slow" in seen.line:
            await go_on.wait()
        await wire.send(b"b")

    async def situation() -> None:
        async with listening(Upstream(script)) as upstream, proxy_to(upstream.port) as proxy:
            slow, slow_writer = await proxy.begin("GET /slow HTTP/1.1")
            await read_head(slow)
            reader, writer = await proxy.begin("GET / HTTP/1.1")
            assert status(await read_head(reader)) == 200
            assert await reader.readexactly(2) == b"ab"

            proxy.config.write_text(json.dumps({"apiKeys": ["another-key-0123456789"]}))
            for key, wanted in ((KEY, 401), ("another-key-0123456789", 200)):
                request = f"GET / HTTP/1.1\r\nHost: x\r\nx-api-key: {key}\r\n\r\n"
                writer.write(request.encode())
                head = await read_head(reader)
                assert status(head) == wanted
                await reader.readexactly(int(headers(head)["content-length"]))

            go_on.set()
            assert await slow.readexactly(2) == b"ab"
            writer.close()
            slow_writer.close()

    run(situation())
