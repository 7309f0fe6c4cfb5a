"""What a gateway is told, so that it asks another Mac: refusals that are this Mac's own. Pure.

HAProxy tries elsewhere on a 503 before the first byte, and on nothing else: what is a fault of the
request would be one on every Mac, and 429 is what a key of the gateway's has reached.
"""

import json
import re
from typing import Any

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def id_of(sent: str | None, own: str) -> str:
    """The id by which both logs call a request: that of the gateway, if it is one."""
    return sent if sent is not None and _ID.fullmatch(sent) else own


def elsewhere(status: int, body: bytes) -> tuple[str, str] | None:
    """A code and a message, if what llama-swap or llama-server said is about this Mac only."""
    if status not in (404, 429, 500):
        return None
    try:
        found: Any = json.loads(body)
        error = found["error"]
        message = error if isinstance(error, str) else error["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(message, str) or (status != 429 and found.get("src") != "llama-swap"):
        return None
    match status:
        case 429:
            return "model_busy", "All places of this model are taken here. Try again in a moment."
        case 404 if message == "no router for requested model":
            return "model_not_here", "There is no model of this name on this server."
        case 500:  # it did not start, was unloaded, or llama-swap ends
            return "model_loading", f"This model cannot be served here now: {message}"
        case _:
            return None
