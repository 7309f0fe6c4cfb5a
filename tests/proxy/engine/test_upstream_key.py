"""llama-swap's own key goes up in place of the client's, and nobody else gets to see it."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.proxy.support.policy import ANNA, ROOT
from tests.proxy.support.proxy import (
    KEY,
    Proxy,
    Seen,
    Upstream,
    Wire,
    answer,
    error,
    headers,
    listening,
    proxy_to,
    run,
    status,
)
from tests.proxy.support.stack import stack

FIRST, SECOND = "0" * 64, "1" * 64


class Locked:
    """Answers who shows its key, as llama-swap does where `apiKeys` is set."""

    def __init__(self, key: str) -> None:
        self.key = key

    async def __call__(self, seen: Seen, wire: Wire) -> None:
        if seen.all("Authorization") == [f"Bearer {self.key}"] and not seen.all("x-api-key"):
            await answer("Content-Type: application/json\r\n", b'{"data": []}')(seen, wire)
            return
        refusal = 'WWW-Authenticate: Basic realm="llama-swap"\r\nContent-Type: application/json\r\n'
        await answer(refusal, b'{"error":"no"}', "401 Unauthorized")(seen, wire)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "llama-swap.key", FIRST)


def write(path: Path, key: str) -> Path:
    """As a deploy does: another file takes the place."""
    new = path.with_suffix(".new")
    new.write_text(f"{key}\n")
    os.replace(new, path)
    return path


@asynccontextmanager
async def locked(file: Path, key: str = FIRST) -> AsyncIterator[tuple[Proxy, Upstream, Locked]]:
    script = Locked(key)
    async with (
        listening(Upstream(script)) as upstream,
        proxy_to(upstream.port, upstream_key=file) as proxy,
    ):
        yield proxy, upstream, script


@pytest.mark.parametrize(
    "credential",
    [
        f"Authorization: Bearer {KEY}\r\n",
        f"x-api-key: {KEY}\r\n",
        f"AUTHORIZATION: bearer {KEY}\r\nConnection: Authorization, close\r\n",
    ],
)
def test_it_stands_where_the_clients_credential_stood(file: Path, credential: str) -> None:
    async def main() -> None:
        async with locked(file) as (proxy, upstream, _):
            end = "" if "close" in credential else "Connection: close\r\n"
            request = f"GET /running HTTP/1.1\r\nHost: a\r\n{end}{credential}\r\n"
            response = await proxy.raw(request.encode())

            assert status(response) == 200
            assert FIRST.encode() not in response
            (seen,) = upstream.seen
            assert seen.all("Authorization") == [f"Bearer {FIRST}"]
            assert KEY not in str(seen.headers)

    run(main())


def test_a_body_goes_up_with_it(file: Path) -> None:
    async def main() -> None:
        async with locked(file) as (proxy, upstream, _):
            body = b'{"model": "m", "messages": []}'
            response = await proxy.ask("POST /v1/chat/completions HTTP/1.1", body=body)

            assert status(response) == 200
            assert upstream.seen[0].body == body

    run(main())


def test_a_new_one_is_taken_while_the_proxy_runs(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with locked(file) as (proxy, _, script):
            assert status(await proxy.ask()) == 200
            script.key = SECOND
            write(file, SECOND)
            # The first to be refused makes the proxy look, whenever it would have by itself.
            await proxy.ask()
            assert status(await proxy.ask()) == 200
            script.key = FIRST
            write(file, FIRST)
            proxy.engine.pool.tick(proxy.engine.loop.time())
            assert status(await proxy.ask()) == 200

    with caplog.at_level(logging.DEBUG):
        run(main())
    assert "llama-swap's key read" in caplog.text
    assert FIRST not in caplog.text
    assert SECOND not in caplog.text


def test_one_that_llama_swap_does_not_take_is_no_fault_of_the_clients(file: Path) -> None:
    """A 401 would tell a client that its own key is wrong, and a browser to ask for a password."""

    async def main() -> None:
        async with locked(file, SECOND) as (proxy, _, _):
            response = await proxy.ask("POST /v1/chat/completions HTTP/1.1", body=b'{"model":"m"}')

            assert status(response) == 503
            assert error(response)["code"] == "upstream_unavailable"
            assert "www-authenticate" not in headers(response)
            assert headers(response)["retry-after"]

    run(main())


@pytest.mark.parametrize("content", [None, "", "two words", "with\nlines", "naïve"])
def test_without_one_the_request_goes_up_bare(
    tmp_path: Path, content: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Never the client's, nor half of something; llama-swap refuses it. It may come later."""
    path = tmp_path / "llama-swap.key"
    if content is not None:
        path.write_text(content)

    async def main() -> None:
        async with locked(path) as (proxy, upstream, _):
            assert status(await proxy.ask()) == 503
            assert upstream.seen[0].all("Authorization") == []
            write(path, FIRST)
            proxy.engine.pool.tick(proxy.engine.loop.time())
            assert status(await proxy.ask()) == 200

    run(main())
    assert "llama-swap's key" in caplog.text


def test_without_a_file_a_refusal_of_the_upstream_passes() -> None:
    async def main() -> None:
        async with (
            listening(Upstream(Locked(FIRST))) as upstream,
            proxy_to(upstream.port) as proxy,
        ):
            assert status(await proxy.ask()) == 401

    run(main())


def test_what_the_proxy_asks_by_itself_has_it(file: Path, tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            stack(tmp_path, Locked(FIRST), upstream_key=file) as made,
            aiohttp.ClientSession(made.url) as client,
        ):
            for path, key in (("/v1/models", ANNA), ("/running", ROOT), ("/readyz", ROOT)):
                async with client.get(path, headers={"x-api-key": key}) as response:
                    assert response.status == 200
            for seen in made.upstream.seen:
                assert seen.all("Authorization") == [f"Bearer {FIRST}"]

    run(main())
