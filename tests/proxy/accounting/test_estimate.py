"""What a shape of request costs, through the proxy: as told, and at the most where nothing is.

The answers are those of llama-server 11434 (tools/server/server-task.cpp); test_shapes.py
asks a real one.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from proxy.accounting.estimate import LARGEST, READ, Kind, Pace, of_prompt
from proxy.accounting.tokens import Tokens
from tests.proxy.support.policy import ANNA, entry
from tests.proxy.support.proxy import Script, Seen, Wire, answer, run
from tests.proxy.support.stack import Stack, stack, streamed

TIMINGS = {"cache_n": 4, "prompt_n": 6, "predicted_n": 200, "predicted_per_second": 50.0}
USAGE = {"prompt_tokens": 10, "completion_tokens": 200, "total_tokens": 210}
JSON = "Content-Type: application/json\r\n"
CONTENT = "word " * 200


def event(**more: Any) -> bytes:
    return f"data: {json.dumps(more)}\n\n".encode()


def delta(index: int = 0) -> bytes:
    return event(choices=[{"index": index, "delta": {"content": "x"}}])


def plain(value: object) -> Script:
    return answer(head=JSON, body=json.dumps(value).encode())


async def asked(made: Stack, path: str, body: dict[str, Any]) -> tuple[int, str]:
    """The status and the answer."""
    return await posted(made, path, json.dumps({"model": "gpt-oss", **body}).encode())


async def posted(made: Stack, path: str, body: Any) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {ANNA}", "Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.post(made.url + path, data=body) as response,
    ):
        return response.status, await response.text()


def charged(directory: Path, script: Script, path: str, **body: Any) -> tuple[int, int]:
    """What one whole request costs."""

    async def situation() -> tuple[int, int]:
        async with stack(directory, script) as made:
            status, text = await asked(made, path, body)
            assert status == 200, text
            [(_, _, requests, _, prompt, completion)] = await made.used()
            assert requests == 1
            return int(str(prompt)), int(str(completion))

    found: tuple[int, int] = run(situation())
    return found


PROBABILITIES = [{"token": "x", "bytes": [120], "top_logprobs": [{"token": "}"}] * 40}] * 100
BIG = '\\"usage\\": 0 ' * 20_000
TOLD: dict[str, tuple[str, Script]] = {
    "usage": ("/v1/chat/completions", plain({"choices": [{}], "usage": USAGE, "timings": TIMINGS})),
    "n_probs behind timings": (
        "/completion",
        plain({"content": "x", "timings": TIMINGS, "completion_probabilities": PROBABILITIES}),
    ),
    "usage behind logprobs": (
        "/v1/completions",
        plain({"choices": [{"logprobs": {"content": PROBABILITIES}}], "usage": USAGE, "id": BIG}),
    ),
    "response_fields with timings": ("/completion", plain({"timings": TIMINGS})),
    "infill": ("/infill", plain({"content": CONTENT, "timings": TIMINGS, "prompt": BIG})),
    "messages": (
        "/v1/messages",
        plain({"content": [{"type": "tool_use", "input": {"usage": {"output_tokens": 0}}}],
               "usage": {"cache_read_input_tokens": 4, "input_tokens": 6, "output_tokens": 200}}),
    ),
    "responses": (
        "/v1/responses",
        plain({"output": [BIG], "usage": {"input_tokens": 10, "output_tokens": 200}}),
    ),
    "stream": (
        "/v1/chat/completions",
        streamed(delta(), event(choices=[{"index": 0}], timings=TIMINGS), b"data: [DONE]\n\n"),
    ),
    "stream_options": (
        "/v1/chat/completions",
        streamed(delta(), event(choices=[{"index": 0, "finish_reason": "stop"}]),
                 event(choices=[], usage=USAGE, timings=TIMINGS), b"data: [DONE]\n\n"),
    ),
    "return_progress": (
        "/v1/chat/completions",
        streamed(event(choices=[], prompt_progress={"total": 10}), delta(),
                 event(choices=[{"index": 0, "finish_reason": "stop"}], timings=TIMINGS),
                 b"data: [DONE]\n\n"),
    ),
    "stream of /completion with its prompt in the last event": (
        "/completion",
        streamed(event(index=0, content="x"),
                 event(index=0, content="", prompt=BIG, timings=TIMINGS)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", TOLD)
def test_what_is_told_is_charged(tmp_path: Path, shape: str) -> None:
    """Wherever it stands, however much is around it."""
    path, script = TOLD[shape]

    assert charged(tmp_path, script, path, prompt="p") == (10, 200)


def test_eight_prompts_at_once(tmp_path: Path) -> None:
    """As an array of answers, as a stream of them, and as choices of which only one is told."""
    many = [{"index": one, "content": "x", "timings": TIMINGS} for one in range(8)]
    choices = [{"index": one, "text": CONTENT} for one in range(8)]
    last = [event(index=one, content="", timings=TIMINGS) for one in range(8)]

    assert charged(tmp_path, plain(many), "/completion") == (80, 1600)
    (tmp_path / "2").mkdir()
    assert charged(tmp_path / "2", streamed(*last), "/completion") == (80, 1600)
    (tmp_path / "3").mkdir()
    script = plain({"choices": choices, "object": "text_completion", "usage": USAGE})
    prompt, completion = charged(tmp_path / "3", script, "/v1/completions", prompt=["p" * 99] * 8)
    assert prompt >= 16 * 99
    assert completion >= 8 * 200


@pytest.mark.parametrize("size", [1, 1000])
def test_embeddings_and_rerank_cost_their_prompt(tmp_path: Path, size: int) -> None:
    """Told before or behind the bulk; if not, by the bytes that were sent."""
    bulk = [{"embedding": [0.25] * 100}] * size
    usage = {"usage": {"prompt_tokens": 7, "total_tokens": 7}}
    for number, value in enumerate(({**usage, "data": bulk}, {"data": bulk, **usage})):
        (tmp_path / str(number)).mkdir()
        for path in ("/v1/embeddings", "/v1/rerank"):
            where = tmp_path / str(number) / path[4:]
            where.mkdir()
            assert charged(where, plain(value), path, input="x") == (7, 0)
    prompt, completion = charged(tmp_path, plain(bulk), "/v1/embeddings", input="x" * 500)
    assert 1000 <= prompt < 1200
    assert completion == 0


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/messages/count_tokens", {"input_tokens": 9}), ("/v1/images/generations", {"data": []}),
     ("/v1/audio/speech", {"x": "y" * 100_000})],
)  # fmt: skip
def test_what_makes_no_tokens_costs_a_request(tmp_path: Path, path: str, body: Any) -> None:
    """Pictures and speech have no tokens to tell."""
    assert charged(tmp_path, plain(body), path, input="x" * 5000) == (0, 0)


def test_answer_that_tells_nothing_costs_the_most_it_can_be(tmp_path: Path) -> None:
    """`response_fields` with the content alone: a byte of text is a token or less."""
    script = plain({"content": CONTENT})
    prompt, completion = charged(
        tmp_path, script, "/completion", prompt="p" * 700, response_fields=["content"]
    )

    assert 1400 <= prompt < 1600
    assert len(CONTENT) <= completion < len(CONTENT) + 50


@pytest.mark.parametrize(
    "body",
    [b'{"model":"gpt-oss","response_fields":["stop"],"prompt":"x"}',
     b'{"model":"gpt-oss","response\\u005ffields":["stop", "index"],"prompt":"x"}',
     b'{"model":"gpt-oss","response_fields":["timings"],"response_fields":["stop"]}',
     b'{"model":"gpt-oss","prompt":"' + b"x" * 500_000 + b'","response_fields":["stop"]}',
     b'{"model":"gpt-oss","response_fields":["' + b"x" * 9000 + b'"]}'],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/completion", "/infill"])
def test_answer_that_would_tell_nothing_at_all_is_not_asked_for(
    tmp_path: Path, body: bytes, path: str
) -> None:
    """llama-swap has never all of such a request."""

    async def situation() -> None:
        async with stack(tmp_path, plain({"stop": True})) as made:
            for size in (len(body), 20_000):

                async def pieces(size: int = size) -> Any:
                    for start in range(0, len(body), size):
                        yield body[start : start + size]
                        await asyncio.sleep(0.001)

                status, text = await posted(made, path, pieces())
                assert status == 400
                assert "Add timings to response_fields" in text
            assert [seen for seen in made.upstream.seen if seen.body == body] == []

    run(situation())


Left = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def left(directory: Path, script: Script, path: str, body: dict[str, Any], leave: Left) -> Any:
    """What a request costs that its client does not wait for."""

    async def situation() -> tuple[int, int]:
        async with stack(directory, script) as made:
            data = json.dumps({"model": "gpt-oss", **body}).encode()
            host, port = made.url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(
                f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ANNA}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode()
                + data
            )
            await leave(reader, writer)
            writer.transport.abort()
            [(_, _, _, _, prompt, completion)] = await made.used()
            return int(str(prompt)), int(str(completion))

    return run(situation())


async def after_three(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    for _event in range(3):
        await reader.readuntil(b"data:")
    await asyncio.sleep(0.05)


async def after_a_while(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(0.5)


def test_prompt_of_a_stream_that_was_left_is_not_free(tmp_path: Path) -> None:
    """Nor is what came of its answer."""
    script = streamed(delta(), delta(), delta(), hold=asyncio.Event())
    prompt, completion = left(
        tmp_path, script, "/v1/chat/completions", {"messages": ["p" * 3000]}, after_three
    )

    assert 6000 <= prompt < 6200
    assert completion == 3


def test_stream_that_was_left_but_has_told_is_charged_as_told(tmp_path: Path) -> None:
    """`timings_per_token`, and Anthropic's first event."""
    each = event(choices=[{"index": 0, "delta": {}}], timings={**TIMINGS, "predicted_n": 9})
    script = streamed(each, each, each, hold=asyncio.Event())
    body = {"messages": ["p" * 3000]}

    assert left(tmp_path, script, "/v1/chat/completions", body, after_three) == (10, 9)
    start = event(type="message_start", message={"usage": {"input_tokens": 10}})
    script = streamed(start, event(type="x"), event(type="x"), hold=asyncio.Event())
    (tmp_path / "2").mkdir()
    assert left(tmp_path / "2", script, "/v1/messages", body, after_three) == (10, 3)


def test_answer_that_was_not_waited_for_costs_its_time(tmp_path: Path) -> None:
    """Whoever asks for a long one, and leaves, had a GPU at work."""

    async def never(_: Seen, wire: Wire) -> None:
        await wire.closed_by_peer()

    prompt, completion = left(
        tmp_path, never, "/v1/chat/completions", {"messages": ["p" * 3000]}, after_a_while
    )

    assert 6000 <= prompt < 6200
    assert 40 <= completion <= 200


def test_what_had_no_answer_costs_what_can_be_read_in_its_time(tmp_path: Path) -> None:
    """However long it is: 4 MB are 8 million tokens at the most, and nobody reads those in half a
    second."""

    for number, path in enumerate(("/v1/chat/completions", "/completion", "/v1/embeddings")):
        whole = asyncio.Event()

        async def never(_: Seen, wire: Wire, whole: asyncio.Event = whole) -> None:
            whole.set()
            await wire.closed_by_peer()

        async def after_half_a_second(
            _: asyncio.StreamReader, writer: asyncio.StreamWriter, whole: asyncio.Event = whole
        ) -> None:
            await whole.wait()
            await asyncio.sleep(0.5)

        (where := tmp_path / str(number)).mkdir()
        prompt, _ = left(where, never, path, {"messages": ["p" * 4_000_000]}, after_half_a_second)
        assert READ * 0.1 < prompt < READ * 5


def test_a_body_that_was_broken_off_costs_a_request(tmp_path: Path) -> None:
    """llama-swap reads bodies whole before it does anything."""

    async def situation() -> None:
        async with stack(tmp_path, plain({})) as made:
            host, port = made.url.removeprefix("http://").split(":")
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(
                f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Api-Key: {ANNA}\r\n"
                "Content-Length: 900000\r\n\r\n".encode()
                + b'{"model":"gpt-oss","messages":["'
                + b"x" * 800_000
            )
            await asyncio.sleep(0.3)
            writer.transport.abort()
            assert [row[-3:] for row in await made.used()] == [(1, 0, 0)]

    run(situation())


def test_a_prompt_is_no_longer_than_its_models_context(tmp_path: Path) -> None:
    """As config.json has it; a picture is many bytes and few tokens."""

    async def situation() -> None:
        script = streamed(delta(), delta(), delta(), hold=asyncio.Event())
        async with stack(tmp_path, script) as made:
            keys = json.loads(made.config.read_text())
            made.config.write_text(json.dumps({**keys, "contexts": {"gpt-oss": 5000}}))
            data = json.dumps({"model": "gpt-oss", "messages": ["p" * 900_000]}).encode()
            async with (
                aiohttp.ClientSession(headers={"X-Api-Key": ANNA}) as client,
                client.post(made.url + "/v1/chat/completions", data=data) as response,
            ):
                await response.content.readuntil(b"data:")
            [(_, _, _, _, prompt, _)] = await made.used()
            assert prompt == 5000

    run(situation())


def test_the_most_that_a_prompt_can_have_been() -> None:
    """One is bounded by the context, several by their time."""
    assert of_prompt(Kind.ANSWER, 10**9, LARGEST, None) == 2**20
    assert of_prompt(Kind.ANSWER, 10**9, 8192, 60) == 8192
    assert of_prompt(Kind.ANSWER, 300, 8192, None) == 300
    assert of_prompt(Kind.ANSWER, 10**9, LARGEST, 1) == READ
    assert of_prompt(Kind.ANSWERS, 10**9, 8192, 2) == 2 * READ
    assert of_prompt(Kind.PROMPT, 10**9, 8192, None) == 10**9
    assert of_prompt(Kind.PROMPT, 300, 8192, -1) == 0


def test_error_of_llama_server_costs_a_request(tmp_path: Path) -> None:
    """It made nothing."""

    async def situation() -> None:
        script = answer(status="400 Bad Request", head=JSON, body=b'{"error": {"code": 400}}')
        async with stack(tmp_path, script) as made:
            status, _ = await asked(made, "/v1/chat/completions", {"messages": ["p" * 999]})
            assert status == 400
            assert [row[-2:] for row in await made.used()] == [(0, 0)]

    run(situation())


@pytest.mark.parametrize("shape", [{"response_fields": ["content"]}, {"n": 2}])
def test_no_shape_gets_more_than_its_limit_and_one_request(tmp_path: Path, shape: Any) -> None:
    """Of 1000 tokens a day, at 200 a request."""

    async def situation() -> None:
        script = plain({"content": CONTENT, "choices": [{"text": CONTENT}] * 2, "usage": USAGE})
        async with stack(tmp_path, script) as made:
            made.write(entry("anna", ANNA, tpd=1000))
            made.keys.reload()
            statuses = [
                (await asked(made, "/completion", {"prompt": "x", **shape}))[0] for _ in range(8)
            ]
            assert statuses.count(200) <= 6
            assert statuses[-1] == 429

    run(situation())


def test_bytes_are_fewer_tokens_once_a_model_has_shown_it() -> None:
    """By long requests, the densest of them; and never fewer than a quarter."""
    pace = Pace()
    assert pace.prompt("m", 1000) == 2000
    pace.learn("m", 400, Tokens(1))  # too short to say anything
    assert pace.prompt("m", 1000) == 2000
    pace.learn("m", 40_000, Tokens(1))
    assert pace.prompt("m", 1000) == 250
    pace.learn("m", 40_000, Tokens(20_000))
    pace.learn("m", 40_000, Tokens(10_000))
    assert pace.prompt("m", 1000) == 500
    assert pace.prompt("other", 1000) == 2000
    pace.learn("m", 40_000, Tokens(400_000))
    assert pace.prompt("m", 1000) == 2000
