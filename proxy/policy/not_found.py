"""What is said to a client that asks where nothing is: mostly its base URL is wrong. Pure.

Clients put an endpoint behind the base URL that they were given. So a wrong one stands at the
beginning of a path, or is doubled there, and the end of the path tells what was meant.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from proxy.exchange import Request
from proxy.keys.key import Key, Scope
from proxy.policy.error_dialect import Dialect, dialect_of
from proxy.policy.routes import METHODS, TABLE, Own, Route, is_ambiguous, route_of

_V1 = "/v1/"
# The longest first: `/chat/completions` ends in `/completions`, too.
_ENDPOINTS = sorted(
    {path.removeprefix(_V1) for _, path in TABLE if path.startswith(_V1)}, key=len, reverse=True
)
_MODEL = re.compile("(?:/(?:v1|openai|anthropic|api|chat|completions|messages))+/models/(.+)")
_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")


@dataclass(frozen=True, slots=True)
class Answer:
    """An error, in words that help."""

    status: int
    code: str
    message: str
    allow: str = ""
    """The methods of the path, if only the method was wrong."""


def opens(key: Key | None, route: Route) -> bool:
    """Whether this key may have what is there."""
    return route.scope is None or (key is not None and route.scope in key.scopes)


RouteOf = Callable[[str, str], Route | None]


def nowhere(
    request: Request, key: Key | None, route: Route | None, route_of: RouteOf = route_of
) -> Answer:
    """Why there is nothing for this key at this path, and what was probably meant.

    Clients try what servers have that they know, and take a 403 for the end of their key. So that
    is told only to those who ask for what keys are for.
    """
    path = request.path
    needs = None if route is None else route.scope
    if needs is Scope.INFERENCE:
        message = f"This API key does not have the scope '{needs}' that this needs."
        return Answer(403, "insufficient_scope", message)
    methods = [each for each in METHODS if (at := route_of(each, path)) and opens(key, at)]
    if methods and request.method not in methods:
        allow = ", ".join(methods)
        return Answer(
            405, "method_not_allowed", f"There is no {request.method} here, but {allow}.", allow
        )
    plain = re.sub("//+", "/", path)
    if is_ambiguous(plain):
        return Answer(400, "bad_request", _AMBIGUOUS)
    infers = key is not None and Scope.INFERENCE in key.scopes
    said = "There is nothing here."
    if needs is not None:
        said = f"There is nothing here for an API key without the scope '{needs}'."
    if infers and (meant := meant_by(plain)):
        base = base_url(request, dialect_of(meant, request.headers))
        said += f" Was {meant} meant? Then the base URL to set is {base}"
    elif plain != path:
        return Answer(400, "bad_request", _AMBIGUOUS)
    elif infers:
        openai, anthropic = (base_url(request, dialect) for dialect in Dialect)
        said += f" The base URL is {openai} for OpenAI's clients, {anthropic} for Anthropic's."
    return Answer(404, "not_found", said)


_AMBIGUOUS = "This path has more than one meaning."


def meant_by(path: str) -> str | None:
    """The path of a route that this one ends like."""
    path = path.rstrip("/")
    for endpoint in _ENDPOINTS:
        if path.lower().endswith("/" + endpoint):
            return _V1 + endpoint
    if found := _MODEL.fullmatch(path):
        return Own.MODEL.value + found[1]
    return None


def base_url(request: Request, dialect: Dialect) -> str:
    """What to set in a client of this dialect: OpenAI's add no version to it, Anthropic's do."""
    host = request.headers.get("Host", "")
    origin = f"{request.scheme}://{host if _HOST.fullmatch(host) else '<host>:<port>'}"
    return origin if dialect is Dialect.ANTHROPIC else f"{origin}/v1"
