"""Real OpenAI and Anthropic clients in front of the proxy under its policy, over sockets."""

import asyncio
import json
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.proxy.support.policy import ANNA, ROOT, STANDARD, entry
from tests.proxy.support.proxy import Upstream, answer, listening, run
from tests.proxy.support.stack import Stack, stack, streamed

CHAT = {"model": "gpt-oss", "messages": [{"role": "user", "content": "Hello"}]}
COMPLETION = json.dumps(
    {
        "id": "c", "object": "chat.completion", "created": 1, "model": "gpt-oss",
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": "Hi"}}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13},
    }
).encode()  # fmt: skip
MESSAGE = [
    {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant",
     "model": "gpt-oss", "content": [], "stop_reason": None, "stop_sequence": None,
     "usage": {"input_tokens": 9, "output_tokens": 0}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
     "usage": {"output_tokens": 3}},
    {"type": "message_stop"},
]  # fmt: skip
JSON = "Content-Type: application/json\r\n"


async def chat(client: openai.AsyncOpenAI, **more: Any) -> Any:
    return await client.chat.completions.create(**CHAT, **more)


def test_openai_client_reads_limits_and_the_books_its_tokens(tmp_path: Path) -> None:
    """The headers are on the answer that llama-swap gave."""

    async def situation() -> None:
        async with stack(tmp_path, answer(JSON, COMPLETION)) as proxy:
            proxy.write(entry("anna", ANNA, rpm=2, tpm=1000))
            raw = await proxy.openai().chat.completions.with_raw_response.create(**CHAT)
            assert raw.parse().choices[0].message.content == "Hi"
            assert raw.headers["x-ratelimit-remaining-requests"] == "1"
            assert raw.headers["x-ratelimit-limit-tokens"] == "1000"
            raw = await proxy.openai().chat.completions.with_raw_response.create(**CHAT)
            assert 987 <= int(raw.headers["x-ratelimit-remaining-tokens"]) < 1000
            with pytest.raises(openai.RateLimitError) as refused:
                await chat(proxy.openai())
            assert refused.value.code == "rate_limit_exceeded"
            assert 25 <= int(refused.value.response.headers["Retry-After"]) <= 30
            assert await proxy.used() == [("anna", "gpt-oss", 2, 0, 22, 4)]
            assert len(proxy.upstream.seen) == 2

    run(situation())


def test_openai_client_waits_as_told_and_gets_through(tmp_path: Path) -> None:
    """Its own retry reads Retry-After."""

    async def situation() -> None:
        async with stack(tmp_path, answer(JSON, COMPLETION)) as proxy:
            proxy.write(entry("anna", ANNA, rpm=60, parallel=1, tpm=780))
            client = proxy.openai().with_options(max_retries=3)
            for _ in range(3):
                assert (await chat(client)).choices[0].message.content == "Hi"

    run(situation())


@pytest.mark.parametrize(
    ("last", "booked"),
    [
        ([b"data: [DONE]\n\n"], ("anna", "gpt-oss", 1, 0, 12, 2)),
        ([], ("anna", "gpt-oss", 1, 1, 12, 3)),
    ],
    ids=["told", "cut"],
)
def test_client_that_leaves_at_the_ending_has_all_of_it(
    tmp_path: Path, last: list[bytes], booked: tuple[object, ...]
) -> None:
    """Many close behind `[DONE]`, without waiting for the end of the answer in HTTP."""
    chunks: list[dict[str, object]] = [
        {"choices": [{"delta": {"content": "x"}, "finish_reason": None}]},
        {"choices": [{"delta": {"content": "y"}, "finish_reason": None}]},
        {"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 2}},
    ]
    sent = [
        f"data: {json.dumps({'object': 'chat.completion.chunk', **c})}\n\n".encode() for c in chunks
    ]

    async def situation() -> None:
        left = asyncio.Event()
        async with stack(tmp_path, streamed(*sent, *last, hold=left)) as proxy:
            stream: Any = await proxy.openai().chat.completions.create(stream=True, **CHAT)
            async for part in stream:
                if part.usage:
                    break
            await asyncio.sleep(0.1)
            await stream.close()
            await left.wait()
            assert await proxy.used() == [booked]

    run(situation())


def test_anthropic_client_streams_and_is_charged(tmp_path: Path) -> None:
    """By x-api-key."""
    events = [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in MESSAGE]

    async def situation() -> None:
        async with stack(tmp_path, streamed(*events)) as proxy:
            async with proxy.anthropic().messages.stream(max_tokens=9, **CHAT) as stream:
                assert await stream.get_final_text() == "Hi"
            assert await proxy.used() == [("anna", "gpt-oss", 1, 0, 9, 3)]
            assert not proxy.upstream.seen[0].all("x-api-key")

    run(situation())


def test_anthropic_client_understands_each_refusal(tmp_path: Path) -> None:
    """In its own classes of errors, with its own fields."""
    import anthropic

    async def situation() -> None:
        async with stack(tmp_path, answer(JSON, COMPLETION)) as proxy:
            proxy.write(entry("anna", ANNA, models=["gpt-*"], tpd=1), STANDARD[3])
            for key, model, kind, name in (
                ("wrong", "gpt-oss", anthropic.AuthenticationError, "authentication_error"),
                (ANNA, "qwen", anthropic.NotFoundError, "not_found_error"),
            ):
                with pytest.raises(kind) as refused:
                    await proxy.anthropic(key).messages.create(
                        max_tokens=1, **CHAT | {"model": model}
                    )
                assert refused.value.body["error"]["type"] == name  # type: ignore[index,call-overload]
            await chat(proxy.openai())
            with pytest.raises(anthropic.RateLimitError) as over:
                await proxy.anthropic().messages.create(max_tokens=1, **CHAT)
            assert over.value.response.headers["x-should-retry"] == "false"

    run(situation())


def test_models_are_listed_as_far_as_the_key_may_use_them(tmp_path: Path) -> None:
    """Everything else of the list is kept."""
    data = [{"id": id_, "object": "model", "created": 1, "owned_by": "llama-swap",
             "meta": {"n_ctx": 5}} for id_ in ("gpt-oss", "qwen")]  # fmt: skip
    body = json.dumps({"object": "list", "data": data}).encode()

    async def situation() -> None:
        async with stack(tmp_path, answer(JSON, body)) as proxy:
            for key, ids in ((ANNA, ["gpt-oss"]), (ROOT, ["gpt-oss", "qwen"])):
                listed = (await proxy.openai(key).models.list()).data
                assert [model.id for model in listed] == ids
                assert listed[0].to_dict()["meta"] == {"n_ctx": 5}

    run(situation())


def test_llama_swap_that_is_gone_is_an_error_of_the_dialect(tmp_path: Path) -> None:
    """And told by /readyz; /healthz is about the proxy."""
    import anthropic

    async def situation() -> None:
        async with stack(tmp_path, answer()) as proxy:
            client = proxy.openai()
            assert (await client.get("../readyz", cast_to=str)) == "ready\n"

        upstream = Upstream(answer())
        async with listening(upstream):
            pass
        made = Stack(tmp_path, upstream)
        _, port = await made.engine.listen("127.0.0.1", 0)
        made.url = f"http://127.0.0.1:{port}"
        with pytest.raises(openai.InternalServerError) as refused:
            await chat(made.openai())
        assert (refused.value.status_code, refused.value.code) == (503, "upstream_unavailable")
        with pytest.raises(anthropic.APIStatusError) as overloaded:
            await made.anthropic().messages.create(max_tokens=1, **CHAT)
        body: Any = overloaded.value.body
        assert body["error"]["type"] == "overloaded_error"
        with pytest.raises(openai.InternalServerError, match="did not list its models"):
            await made.openai().models.list()
        made.engine.close()
        made.usage.close()

    run(situation())


def test_usage_is_read_by_an_admin_only(tmp_path: Path) -> None:
    """As JSON, of one key if wanted."""

    async def situation() -> None:
        async with stack(tmp_path, answer(JSON, COMPLETION)) as proxy:
            await chat(proxy.openai())
            await proxy.used()
            got: Any = await proxy.openai(ROOT).get(
                "../admin/usage?key=anna&since=7d", cast_to=object
            )
            for query in ("since=banana", "since=", "from=2026-11-01"):
                with pytest.raises(openai.BadRequestError):
                    await proxy.openai(ROOT).get(f"../admin/usage?{query}", cast_to=object)
            assert [row["prompt"] for row in got["data"]] == [11]
            with pytest.raises(openai.NotFoundError):
                await proxy.openai(ANNA).get("../admin/usage", cast_to=object)

    run(situation())


FULL = {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}


def test_openai_client_reads_an_error_within_a_stream(tmp_path: Path) -> None:
    """Its code is a word."""
    event = b"data: " + json.dumps({"error": FULL}, separators=(",", ":")).encode() + b"\n\n"
    token = b'data: {"object":"chat.completion.chunk","choices":[{"delta":{"content":"x"}}]}\n\n'

    async def situation() -> None:
        async with stack(tmp_path, streamed(token, event)) as proxy:
            stream: Any = await proxy.openai().chat.completions.create(stream=True, **CHAT)
            with pytest.raises(openai.APIError) as raised:
                async for _ in stream:
                    pass
            assert raised.value.message == FULL["message"]
            assert raised.value.code == "context_length_exceeded"

    run(situation())


def test_anthropic_client_reads_an_error_within_a_stream(tmp_path: Path) -> None:
    """llama-server sends it bare."""
    import anthropic

    events = [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in MESSAGE[:3]]
    error = b"event: error\ndata: " + json.dumps(FULL).encode() + b"\n\n"

    async def situation() -> None:
        async with stack(tmp_path, streamed(*events, error)) as proxy:
            with pytest.raises(anthropic.APIStatusError, match="prompt is too long: Context"):
                async with proxy.anthropic().messages.stream(max_tokens=9, **CHAT) as stream:
                    await stream.get_final_text()

    run(situation())
