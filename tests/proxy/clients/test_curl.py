"""curl in front of the proxy under its policy: what its users type, and what they read."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.support.policy import ANNA, ROOT, entry
from tests.proxy.support.proxy import STREAM_HEAD, Seen, Wire, answer, run, until
from tests.proxy.support.stack import Stack, stack, streamed

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on PATH")

CHAT = json.dumps({"model": "gpt-oss", "stream": True, "messages": []})
JSON = "Content-Type: application/json\r\n"


async def curl(proxy: Stack, path: str, *options: str, key: str = ANNA) -> tuple[int, str]:
    """The exit code, and all that curl printed."""
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "-H", f"Authorization: Bearer {key}", *options, proxy.url + path,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


POST = ("--json", CHAT)


def test_answer_and_head(tmp_path: Path) -> None:
    """With -i and -I."""

    async def situation() -> None:
        async with stack(tmp_path, answer(JSON, b'{"ok": 1}')) as proxy:
            code, said = await curl(proxy, "/v1/chat/completions", "-i", *POST)
            assert code == 0
            assert said.startswith("HTTP/1.1 200 OK\r\n")
            assert said.endswith('\r\n\r\n{"ok": 1}')
            assert proxy.upstream.seen[0].body.decode() == CHAT
            code, said = await curl(proxy, "/healthz", "-I")
            assert (code, said.split()[1]) == (0, "200")
            assert "Content-Length: 3\r\n" in said

    run(situation())


@pytest.mark.parametrize("version", ["--http1.1", "--http2", "--http1.0"])
def test_stream(tmp_path: Path, version: str) -> None:
    """To the byte; an offer of HTTP/2 is overlooked."""
    events = [b"data: 1\n\n", b": ping\n\n", b"data: [DONE]\n\n"]

    async def situation() -> None:
        async with stack(tmp_path, streamed(*events)) as proxy:
            told = await curl(proxy, "/v1/chat/completions", "-N", version, *POST)
            assert told == (0, b"".join(events).decode())

    run(situation())


@pytest.mark.parametrize("version", ["--http1.1", "--http1.0"])
def test_broken_stream_is_an_error(tmp_path: Path, version: str) -> None:
    """18 or 56 of curl's exit codes, never 0."""

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(STREAM_HEAD)
        await wire.chunk(b"data: 1\n\n")
        await asyncio.sleep(0.1)
        wire.die()

    async def situation() -> None:
        async with stack(tmp_path, script) as proxy:
            code, said = await curl(proxy, "/v1/chat/completions", "-N", version, *POST)
            assert code in (18, 56)
            assert said.startswith("data: 1\n\n")

    run(situation())


def test_upload_of_a_file(tmp_path: Path) -> None:
    """In a form, with a length and chunked; curl asks first whether it may send."""
    sound = tmp_path / "a.wav"
    sound.write_bytes(bytes(range(256)) * 8000)

    async def situation() -> None:
        async with stack(tmp_path, answer(JSON, b"{}")) as proxy:
            form = ("-F", f"file=@{sound}", "-F", "model=gpt-oss", "-H", "Expect: 100-continue")
            for more in ((), ("-H", "Transfer-Encoding: chunked")):
                started = asyncio.get_running_loop().time()
                told = await curl(proxy, "/v1/audio/transcriptions", *form, *more)
                assert told == (0, "{}")
                assert asyncio.get_running_loop().time() - started < 1, "curl waited for a word"
                assert sound.read_bytes() in proxy.upstream.seen[-1].body

    run(situation())


def test_refusals(tmp_path: Path) -> None:
    """Wrong key, wrong model, no right, no route: each with a status and words."""

    async def situation() -> None:
        async with stack(tmp_path, answer(JSON, b"{}")) as proxy:
            for path, key, wanted, code in (
                ("/v1/chat/completions", "wrong", 401, "invalid_api_key"),
                ("/v1/nothing", ANNA, 404, "not_found"),
                ("/running", ANNA, 404, "not_found"),
                ("/v1/../running", ROOT, 400, "bad_request"),
            ):
                _, said = await curl(proxy, path, "--path-as-is", "-i", key=key)
                head, _, body = said.partition("\r\n\r\n")
                found: Any = json.loads(body)
                assert (int(head.split()[1]), found["error"]["code"]) == (wanted, code)
            _, said = await curl(proxy, "/v1/chat/completions", "-i", *POST, key="wrong")
            assert said.startswith("HTTP/1.1 401 Unauthorized\r\n")
            other = CHAT.replace("gpt-oss", "other")
            _, said = await curl(proxy, "/v1/chat/completions", "-i", "--json", other)
            assert said.startswith("HTTP/1.1 404 Not Found\r\n")
            assert not proxy.upstream.seen

    run(situation())


def test_retry_waits_as_long_as_told(tmp_path: Path) -> None:
    """curl's own --retry reads Retry-After."""
    go_on = asyncio.Event()

    async def script(seen: Seen, wire: Wire) -> None:
        await go_on.wait()
        await answer(JSON, b"{}")(seen, wire)

    async def situation() -> None:
        async with stack(tmp_path, script) as proxy:
            proxy.write(entry("anna", ANNA, parallel=1, rpm=60))
            first = asyncio.create_task(curl(proxy, "/v1/chat/completions", *POST))
            await until(lambda: proxy.upstream.seen)
            _, said = await curl(proxy, "/v1/chat/completions", "-i", *POST)
            assert said.startswith("HTTP/1.1 429 Too Many Requests\r\n")
            assert "Retry-After: 1\r\n" in said
            assert "x-ratelimit-limit-requests: 60\r\n" in said
            asyncio.get_running_loop().call_later(0.5, go_on.set)
            last = await curl(proxy, "/v1/chat/completions", "--retry", "3", "-f", *POST)
            assert last[0] == 0
            assert last[1].endswith("{}")
            assert await first == (0, "{}")
            assert len(proxy.upstream.seen) == 2

    run(situation())


def test_curl_that_is_stopped_stops_llama_swap(tmp_path: Path) -> None:
    """As by Ctrl+C, before the first token."""
    told = asyncio.Event()

    async def script(_: Seen, wire: Wire) -> None:
        await wire.closed_by_peer()
        told.set()

    async def situation() -> None:
        async with stack(tmp_path, script) as proxy:
            process = await asyncio.create_subprocess_exec(
                "curl", "-sN", "-H", f"x-api-key: {ANNA}", *POST,
                f"{proxy.url}/v1/chat/completions",
            )  # fmt: skip
            await until(lambda: proxy.upstream.seen)
            process.terminate()
            await asyncio.wait_for(told.wait(), 1)
            await process.wait()

    run(situation())
