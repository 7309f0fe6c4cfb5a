"""Errors as the client's own library reads them: in OpenAI's shape or in Anthropic's. Pure."""

import json
import re
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
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


@lru_cache(64)  # nearly all are those of few routes
def is_anthropic(path: str) -> bool:
    """Whether a path is meant for Anthropic's API."""
    return path.rstrip("/").endswith(_ANTHROPIC_ENDS)


def dialect_of(path: str, headers: Mapping[str, str]) -> Dialect:
    """By the route, or by the header that every Anthropic client sends."""
    if "anthropic-version" in headers or is_anthropic(path):
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
    if isinstance(error, str):
        code = _CODES.get(status, "upstream_error")
        message = NO_MODEL if error == _NO_MODEL else message
        return error_body(dialect, status, code, message, request_id)
    overflow = overflow_of(error)
    if dialect is Dialect.ANTHROPIC:
        if found.get("type") == "error" and not overflow:
            return body
        return error_body(dialect, status, "", overflow or message, request_id)
    told = _with_code(error, status, overflow=overflow is not None)
    return body if told == error else json.dumps({**found, "error": told}).encode()


def _with_code(error: dict[str, Any], status: int, *, overflow: bool) -> dict[str, Any]:
    """OpenAI's four fields, and what else there was. llama-server's code is the status."""
    code = error.get("code")
    if overflow:
        code = "context_length_exceeded"
    elif error.get("message") == _NO_ROUTE:
        code = "not_found"  # the model is there
    elif code is not None and not isinstance(code, str):
        code = _CODES.get(status)
    elif "code" not in error:
        code = _CODES.get(status, "upstream_error")
    if "type" in error and error.get("code", 0) == code:
        return error
    kind = "api_error" if status >= 500 else "invalid_request_error"
    return {"type": _OPENAI_TYPES.get(status, kind), "param": None, **error, "code": code}


def overflow_of(error: dict[str, Any]) -> str | None:
    """Anthropic's words for a context that does not hold what was asked, by which agents know that
    they have to compact; None if it is another error.

    OpenAI's clients look for a code, and at llama-server's own words.
    """
    message = str(error.get("message", ""))
    if error.get("type") != "exceed_context_size_error" and not _OVERFLOW.search(message):
        return None
    numbers = error.get("n_prompt_tokens"), error.get("n_ctx")
    if not all(type(number) is int for number in numbers):
        if (told := _NUMBERS.search(message)) is None:
            return f"prompt is too long: {message}"
        numbers = told[1], told[2]
    return f"prompt is too long: {numbers[0]} tokens > {numbers[1]} maximum"


# Of llama.cpp's tools/server/server-context.cpp; the last may come within a stream.
_OVERFLOW = re.compile(
    "exceeds the available context size|larger than the max context size"
    "|Context size has been exceeded"
)
_NUMBERS = re.compile(r"\((\d+) tokens\).*\((\d+) tokens\)")


def translated_events(dialect: Dialect, events: bytes, request_id: str | None = None) -> bytes:
    """The same for whole events of a stream, of which one is an error.

    llama-server's are `data: {"error": {...}}`, and in Anthropic's streams `event: error` with
    the bare error.
    """
    *whole, rest = events.split(b"\n\n")
    told = [_event(dialect, event, request_id) for event in whole]
    return b"\n\n".join([*told, rest])


def _event(dialect: Dialect, event: bytes, request_id: str | None) -> bytes:
    if b'"error":' not in event and b"event: error" not in event:
        return event
    head, mark, data = event.partition(b"data:")
    try:
        found = json.loads(data)
        error = found.get("error", found)
        status = error.get("code", 500)
    except (ValueError, AttributeError, RecursionError):
        return event
    if not mark or not isinstance(error, dict) or "message" not in error:
        return event
    if type(status) is not int or not 400 <= status <= 599:
        status = 500
    body = data if "error" in found else json.dumps({"error": error}).encode()
    told = translated(dialect, status, body, request_id)
    if told == data:
        return event
    if dialect is Dialect.ANTHROPIC:
        head = b"event: error\n"
    return head + b"data: " + told


def of_text(dialect: Dialect, status: int, body: bytes, request_id: str | None = None) -> bytes:
    """The same for plain text, in which programs say what they could not say better."""
    message = body.decode(errors="replace").strip()
    return error_body(dialect, status, _CODES.get(status, "upstream_error"), message, request_id)


def of_haproxy(dialect: Dialect, status: int, request_id: str | None = None) -> bytes:
    """The same for the pages that HAProxy answers with by itself, which are for people."""
    code, message = _HAPROXY.get(status, ("upstream_error", f"HAProxy answered {status}."))
    return error_body(dialect, status, code, message, request_id)


_HAPROXY = {
    400: ("bad_request", "HAProxy could not read the request."),
    408: ("request_timeout", "The request took too long to arrive."),
    413: ("body_too_large", "The body is too large."),
    502: ("upstream_error", "A server of the herd ended the connection, or spoke no HTTP."),
    503: ("upstream_unavailable", "No server of the herd could take this request."),
    504: ("upstream_error", "A server of the herd did not answer in time."),
}

_NO_MODEL = "no router for requested model"  # llama-swap
NO_MODEL = "There is no model of this name here. Those of this API key are listed at /v1/models."
_NO_ROUTE = "File Not Found"  # llama-server, of a route that llama-swap has and it has not
_CODES = {404: "model_not_found", 429: "rate_limit_exceeded", 503: "model_loading"}
