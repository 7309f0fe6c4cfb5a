"""Cross-origin requests: a browser asks first, and shows an answer only to pages allowed to. Pure.

Only inference is shared, only with the origins of the allow-list, and never with cookies.
"""

import re
from collections.abc import Container, Mapping

from proxy.policy.routes import is_shared

_EXPOSED = (
    "Retry-After, X-Request-Id, X-Served-By, X-Served-Why, "
    "x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
    "x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens"
)
_NAMES = re.compile(r"[A-Za-z0-9_-]{1,64}(?:\s*,\s*[A-Za-z0-9_-]{1,64}){0,63}")


def is_preflight(headers: Mapping[str, str]) -> bool:
    """Whether this OPTIONS is a browser's question what it may send, which carries no key."""
    return "Origin" in headers and "Access-Control-Request-Method" in headers


def preflight(
    path: str, headers: Mapping[str, str], origins: Container[str]
) -> list[tuple[str, str]] | None:
    """The headers of the answer; None if the browser is to be told nothing."""
    origin = headers["Origin"]
    if origin not in origins or not is_shared(path):
        return None
    allowed = [
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Methods", "GET, POST"),
        ("Access-Control-Max-Age", "600"),
        ("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
    ]
    # A page of the public web asks for a machine in a private network: the origin is named for it.
    if headers.get("Access-Control-Request-Private-Network") == "true":
        allowed.append(("Access-Control-Allow-Private-Network", "true"))
    asked = headers.get("Access-Control-Request-Headers", "")
    if _NAMES.fullmatch(asked):
        allowed.append(("Access-Control-Allow-Headers", asked))
    return allowed


def shared(path: str, headers: Mapping[str, str], origins: Container[str]) -> list[tuple[str, str]]:
    """What is added to the answer itself."""
    if not origins or not is_shared(path):
        return []
    origin = headers.get("Origin")
    if origin not in origins or origin is None:
        return [("Vary", "Origin")]
    return [
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Expose-Headers", _EXPOSED),
        ("Vary", "Origin"),
    ]
