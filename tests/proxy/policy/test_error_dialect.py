"""Errors of llama-swap and llama-server in the client's dialect."""

import json
import re
from typing import Any

import pytest

from proxy.policy.error_dialect import NO_MODEL, Dialect, dialect_of, translated, translated_events

SWAP_250 = b'{"error":"no router for requested model","src":"llama-swap"}'
SWAP_NEXT = b'{"src":"llama-swap","error":{"message":"m","type":"t","param":null,"code":"c"}}'
LOADING = b'{"error":{"message":"Loading model","type":"unavailable_error","code":503}}'


@pytest.mark.parametrize(
    ("status", "body", "message", "code"),
    [(404, SWAP_250, NO_MODEL, "model_not_found"),
     (503, b'{"error":"[x] process is not ready"}', "[x] process is not ready", "model_loading")],
)  # fmt: skip
def test_bare_words_become_openais_shape(status: int, body: bytes, message: str, code: str) -> None:
    """What llama-swap 250 says."""
    error = json.loads(translated(Dialect.OPENAI, status, body))["error"]

    assert set(error) == {"message", "type", "param", "code"}
    assert (error["message"], error["code"]) == (message, code)


def test_a_route_that_llama_server_lacks_is_no_missing_model() -> None:
    """llama-swap passes speech and pictures to every llama-server."""
    error = {"code": 404, "message": "File Not Found", "type": "not_found_error"}
    told = json.loads(translated(Dialect.OPENAI, 404, json.dumps({"error": error}).encode()))

    assert told == {"error": {**error, "param": None, "code": "not_found"}}


def test_openais_shape_stays_to_the_byte() -> None:
    """The next llama-swap's."""
    assert translated(Dialect.OPENAI, 503, SWAP_NEXT) == SWAP_NEXT
    null = b'{"error":{"message":"m","type":"t","code":null}}'
    assert translated(Dialect.OPENAI, 400, null) == null


@pytest.mark.parametrize(
    ("status", "type_", "code"),
    [(503, "unavailable_error", "model_loading"), (400, "invalid_request_error", None),
     (501, "not_supported_error", None), (500, "server_error", None),
     (404, "not_found_error", "model_not_found"), (429, "x", "rate_limit_exceeded")],
)  # fmt: skip
def test_llama_servers_code_is_the_status_and_becomes_a_word(
    status: int, type_: str, code: str | None
) -> None:
    """Typed clients read a string or null; all other fields stay."""
    error = {"code": status, "message": "m", "type": type_, "more": [1]}
    told = json.loads(translated(Dialect.OPENAI, status, json.dumps({"error": error}).encode()))

    assert told == {"error": {**error, "param": None, "code": code}}


OVERFLOW = {
    "code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 5010, "n_ctx": 4096,
    "message": "request (5010 tokens) exceeds the available context size (4096 tokens), "
    "try increasing it",
}  # fmt: skip
# What Claude Code, opencode, pi, Qwen Code and Cline look for.
ANTHROPICS = re.compile(r"prompt is too long: (\d+) tokens > (\d+) maximum")


@pytest.mark.parametrize(
    "error",
    [
        OVERFLOW,
        {key: OVERFLOW[key] for key in ("code", "type", "message")},
        {"message": OVERFLOW["message"], "type": "invalid_request_error", "code": None},
        {"code": 400, "type": "exceed_context_size_error",
         "message": "input (5010 tokens) is larger than the max context size (4096 tokens)"},
    ],
)  # fmt: skip
def test_a_full_context_is_told_so_that_agents_compact(error: dict[str, Any]) -> None:
    """In Anthropic's words; for OpenAI's clients with the code, and with all that came."""
    body = json.dumps({"error": error}).encode()
    told = json.loads(translated(Dialect.ANTHROPIC, 400, body, "id1"))
    assert told["error"]["type"] == "invalid_request_error"
    found = ANTHROPICS.fullmatch(told["error"]["message"])
    assert found
    assert found.groups() == ("5010", "4096")

    told = json.loads(translated(Dialect.OPENAI, 400, body))
    assert told == {"error": {**error, "param": None, "code": "context_length_exceeded"}}


def test_a_full_context_in_anthropics_shape_is_told_in_its_words_too() -> None:
    """Another server's, or a later llama-server's."""
    shaped = {"type": "error", "error": {"type": "x", "message": OVERFLOW["message"]}}
    told = json.loads(translated(Dialect.ANTHROPIC, 400, json.dumps(shaped).encode()))

    assert ANTHROPICS.fullmatch(told["error"]["message"])


FULL = {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}


def test_an_error_within_a_stream_is_told_in_the_dialect() -> None:
    """llama-server's is bare in Anthropic's streams, and has a number for a code in OpenAI's."""
    token = b'data: {"choices":[{"delta":{"content":"\\"error\\":{"}}]}\n\n'
    event = (
        token + b"data: " + json.dumps({"error": FULL}, separators=(",", ":")).encode() + b"\n\n"
    )
    told = translated_events(Dialect.OPENAI, event)
    assert told.startswith(token)
    assert told.endswith(b"\n\n")
    found = json.loads(told.removeprefix(token + b"data: "))
    assert found == {"error": {**FULL, "param": None, "code": "context_length_exceeded"}}

    bare = b"event: error\ndata: " + json.dumps(FULL).encode() + b"\n\n"
    told = translated_events(Dialect.ANTHROPIC, bare, "id1")
    assert told.startswith(b"event: error\ndata: {")
    assert json.loads(told.partition(b"data: ")[2]) == {
        "type": "error", "request_id": "id1",
        "error": {"type": "api_error", "message": "prompt is too long: " + FULL["message"]},
    }  # fmt: skip


@pytest.mark.parametrize(
    "events",
    [b"", b"data: [DONE]\n\n", b'data: {"error":{', b'data: {"error":{}}\n\n', b"event: error\n\n",
     b'data: {"type":"response.failed","response":{"error":{"code":"x","message":"m"}}}\n\n',
     b'data: {"error":{"message":"m","type":"t","code":"c"}}\n\n', b'"error":{\n\n',
     b"event: error\ndata: [1]\n\n", b'event: error\ndata: "message"\n\n'],
)  # fmt: skip
def test_what_is_no_error_of_theirs_stays_in_a_stream(events: bytes) -> None:
    """To the byte."""
    assert translated_events(Dialect.OPENAI, events) == events


@pytest.mark.parametrize("body", [SWAP_250, SWAP_NEXT, LOADING])
def test_anthropics_shape_is_made_of_each(body: bytes) -> None:
    """A client of its own looks for error.type."""
    made = json.loads(translated(Dialect.ANTHROPIC, 503, body, "id1"))

    assert made["type"] == "error"
    assert set(made["error"]) == {"type", "message"}
    assert (made["error"]["type"], made["request_id"]) == ("overloaded_error", "id1")
    again = json.dumps(made).encode()
    assert translated(Dialect.ANTHROPIC, 503, again, "id2") == again


@pytest.mark.parametrize(
    "body",
    [b"", b"404 page not found", b"[]", b"7", b'"error"', b'{"error":null}', b'{"error":7}',
     b'{"error":{"message":7}}', b"\xff", b"[" * 99999],
)  # fmt: skip
def test_what_is_no_error_of_theirs_stays(body: bytes) -> None:
    """Nothing is made up."""
    assert translated(Dialect.OPENAI, 500, body) == body
    assert translated(Dialect.ANTHROPIC, 500, body) == body


def test_dialect_is_the_routes_or_the_headers() -> None:
    """As their clients send it."""
    assert dialect_of("/v1/messages", {}) is Dialect.ANTHROPIC
    assert dialect_of("/v/messages/count_tokens", {}) is Dialect.ANTHROPIC
    assert dialect_of("/v1/models", {"anthropic-version": "2023-06-01"}) is Dialect.ANTHROPIC
    assert dialect_of("/v1/chat/completions", {}) is Dialect.OPENAI
