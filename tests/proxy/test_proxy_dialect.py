"""Errors of llama-swap and llama-server in the client's dialect."""

import json

import pytest

from proxy.dialect import Dialect, dialect_of, translated

SWAP_250 = b'{"error":"no router for requested model","src":"llama-swap"}'
SWAP_NEXT = b'{"src":"llama-swap","error":{"message":"m","type":"t","param":null,"code":"c"}}'
LOADING = b'{"error":{"message":"Loading model","type":"unavailable_error","code":503}}'


@pytest.mark.parametrize(
    ("status", "body", "message", "code"),
    [(404, SWAP_250, "no router for requested model", "model_not_found"),
     (503, b'{"error":"[x] process is not ready"}', "[x] process is not ready", "model_loading")],
)  # fmt: skip
def test_bare_words_become_openais_shape(status: int, body: bytes, message: str, code: str) -> None:
    """What llama-swap 250 says."""
    error = json.loads(translated(Dialect.OPENAI, status, body))["error"]

    assert set(error) == {"message", "type", "param", "code"}
    assert (error["message"], error["code"]) == (message, code)


@pytest.mark.parametrize("body", [SWAP_NEXT, LOADING])
def test_openais_shape_stays_to_the_byte(body: bytes) -> None:
    """llama-server's and the next llama-swap's."""
    assert translated(Dialect.OPENAI, 503, body) == body


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
