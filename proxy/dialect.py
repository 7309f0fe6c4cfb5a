"""Errors as the client's own library reads them: in OpenAI's shape or in Anthropic's. Pure."""

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any


class Dialect(Enum):
    """Whose errors a client understands."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


_ANTHROPIC_ENDS = ("/messages", "/messages/count_tokens")  # with a wrong base URL before it, too
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}
_OPENAI_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}


def dialect_of(path: str, headers: Mapping[str, str]) -> Dialect:
    """By the route, or by the header that every Anthropic client sends."""
    if "anthropic-version" in headers or path.rstrip("/").endswith(_ANTHROPIC_ENDS):
        return Dialect.ANTHROPIC
    return Dialect.OPENAI


def error_body(
    dialect: Dialect, status: int, code: str, message: str, request_id: str | None = None
) -> bytes:
    """The JSON of an error."""
    if dialect is Dialect.ANTHROPIC:
        fallback = "api_error" if status >= 500 else "invalid_request_error"
        kind = _ANTHROPIC_TYPES.get(status, fallback)
        body: dict[str, Any] = {"type": "error", "error": {"type": kind, "message": message}}
        if request_id is not None:
            body["request_id"] = request_id
    else:
        fallback = "api_error" if status >= 500 else "invalid_request_error"
        kind = _OPENAI_TYPES.get(status, fallback)
        body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return json.dumps(body).encode()


def translated(dialect: Dialect, status: int, body: bytes, request_id: str | None = None) -> bytes:
    """An error of llama-swap or llama-server in the client's dialect.

    llama-swap 250 says `{"error": "...", "src": "llama-swap"}`, later ones and llama-server
    `{"error": {"message", "type", "code"}}`. What is in the dialect already, or is no error of
    theirs, stays as it is, to the byte.
    """
    try:
        found = json.loads(body)
        error = found["error"]
        message = error if isinstance(error, str) else error["message"]
        if not isinstance(message, str):
            return body
    except (ValueError, KeyError, TypeError, RecursionError):
        return body
    if isinstance(error, dict):
        in_dialect = found.get("type") == "error"
        if in_dialect if dialect is Dialect.ANTHROPIC else {"type", "code"} <= error.keys():
            return body
    return error_body(dialect, status, _CODES.get(status, "upstream_error"), message, request_id)


def of_text(dialect: Dialect, status: int, body: bytes, request_id: str | None = None) -> bytes:
    """The same for plain text, in which programs say what they could not say better."""
    message = body.decode(errors="replace").strip()
    return error_body(dialect, status, _CODES.get(status, "upstream_error"), message, request_id)


_CODES = {404: "model_not_found", 429: "rate_limit_exceeded", 503: "model_loading"}
