"""Refusals, and how they reach the client: as errors in OpenAI's shape, whatever went wrong."""

import json
import logging
import traceback
from collections.abc import Mapping

from aiohttp import web
from aiohttp.typedefs import Handler

_log = logging.getLogger("proxy.errors")


class Refusal(Exception):
    """Ends a request that has no answer yet; the message is for the client's user."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        kind: str = "invalid_request_error",
        headers: Mapping[str, str] | None = None,
        close: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.kind = kind
        self.headers = headers
        self.close = close

    def response(self) -> web.Response:
        """The answer as OpenAI's clients read it."""
        error = {"message": self.message, "type": self.kind, "param": None, "code": self.code}
        response = web.Response(
            status=self.status,
            body=json.dumps({"error": error}).encode(),
            content_type="application/json",
            headers=self.headers,
        )
        if self.close:
            response.force_close()
        return response


def no_key(message: str) -> Refusal:
    """401."""
    headers = {"WWW-Authenticate": "Bearer"}
    return Refusal(401, message, code="invalid_api_key", headers=headers)


def bad_request(message: str, *, code: str = "bad_request") -> Refusal:
    """400, and the connection ends: what follows on it can no longer be told apart."""
    return Refusal(400, message, code=code, close=True)


def upstream_down() -> Refusal:
    """503: nobody listens, which is what a restart looks like; clients try again by themselves."""
    message = "llama-swap is not reachable; it is probably being restarted. Try again in a moment."
    headers = {"Retry-After": "5"}
    return Refusal(503, message, kind="api_error", code="upstream_unavailable", headers=headers)


def upstream_broken() -> Refusal:
    """502: somebody listens, and gave no answer that could be passed on."""
    message = "llama-swap ended the connection or sent an answer that is not HTTP."
    return Refusal(502, message, kind="api_error", code="upstream_error")


def shutting_down() -> Refusal:
    """503: this proxy ends; the next one will take the request."""
    message = "The server is being restarted. Try again in a moment."
    headers = {"Retry-After": "2"}
    return Refusal(
        503, message, kind="api_error", code="shutting_down", headers=headers, close=True
    )


@web.middleware
async def answer_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns a Refusal, an HTTP error of aiohttp, or a bug into an answer."""
    try:
        return await handler(request)
    except Refusal as refusal:
        return refusal.response()
    except web.HTTPException as error:
        return Refusal(error.status, error.reason, code="not_found").response()
    except Exception as bug:
        # The type and the place only: the message of an exception may hold what a client sent.
        place = traceback.extract_tb(bug.__traceback__)[-1]
        _log.error("bug: %s at %s:%s", type(bug).__name__, place.filename, place.lineno)
        return Refusal(500, "Internal error.", kind="api_error", code="internal_error").response()
