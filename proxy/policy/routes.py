"""What is reachable, and for whom: a table of literal paths and a few prefixes. Pure.

Paths are compared as sent. llama-swap resolves `..`, `//` and `%2e` before it looks at a path, so
one that has any of them is refused instead of being understood differently here and there.
"""

import re
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from urllib.parse import unquote

from proxy.exchange import Ending, Forward
from proxy.gateways.message import PATH as LIMITS
from proxy.http import event_stream
from proxy.keys.key import Scope
from proxy.model_files.handler import PREFIX


class Own(Enum):
    """What is answered here."""

    HEALTH = "/healthz"
    LIVE = "/livez"
    READY = "/readyz"
    METRICS = "/metrics"
    MODELS = "/v1/models"
    MODEL = "/v1/models/"
    USAGE = "/admin/usage"
    LIMITS = LIMITS
    LOGIN = "/login"
    LOGOUT = "/logout"
    FILES = "/files"
    FILE = PREFIX


_PLAINLY = Forward(needs_model=False)


@dataclass(frozen=True, slots=True)
class Route:
    """What a method and a path lead to; without a scope it is open to everybody."""

    scope: Scope | None
    own: Own | None = None  # else llama-swap answers
    forward: Forward = _PLAINLY
    shared: bool = False
    """Whether pages of other web origins may call it, if allowed to."""


# llama-swap's routes that have a model, from its internal/server/server.go.
_POST: dict[str, tuple[Ending, ...]] = {
    "/v1/chat/completions": event_stream.CHAT,
    "/v1/completions": event_stream.COMPLETION,
    "/v1/responses": event_stream.RESPONSE,
    "/v1/messages": event_stream.MESSAGE,
    "/v1/messages/count_tokens": (),
    "/v1/embeddings": (),
    "/v1/rerank": (),
    "/v1/reranking": (),
    "/rerank": (),
    "/reranking": (),
    "/infill": (),
    "/completion": (),
    "/v1/audio/speech": (),
    "/v1/audio/voices": (),
    "/v1/audio/transcriptions": (),
    "/v1/images/generations": (),
    "/v1/images/edits": (),
    "/sdapi/v1/txt2img": (),
    "/sdapi/v1/img2img": (),
    "/audioapi/v1/tasks/run": (),
    "/v/chat/completions": event_stream.CHAT,
    "/v/completions": event_stream.COMPLETION,
    "/v/responses": event_stream.RESPONSE,
    "/v/messages": event_stream.MESSAGE,
    "/v/messages/count_tokens": (),
    "/v/embeddings": (),
    "/v/rerank": (),
    "/v/reranking": (),
}
# Of those, what takes a form with files in it, and no JSON.
FORMS = frozenset({"/v1/audio/transcriptions", "/v1/images/edits"})
_GET = ("/props", "/v1/audio/voices", "/sdapi/v1/loras")

_MODELS = Route(Scope.INFERENCE, Own.MODELS, shared=True)
_MODEL = Route(Scope.INFERENCE, Own.MODEL, shared=True)
_ADMIN = Route(Scope.ADMIN)
_READ = ("GET", "HEAD")
# For Prometheus, whose key need not open more: llama-swap's own metrics, whose path is ours here,
# and a model's, for which llama-swap has a way that is an administrator's otherwise.
_SWAP_METRICS = "/llama-swap/metrics"
_MODEL_METRICS = re.compile("/llama-server/([^/]+)/metrics")


def _inference(known: tuple[Ending, ...]) -> Route:
    return Route(Scope.INFERENCE, None, Forward(needs_model=True, endings=known), shared=True)


def _metrics_of(target: str) -> Route:
    return Route(Scope.METRICS, None, Forward(needs_model=False, target=target))


def _table() -> MappingProxyType[tuple[str, str], Route]:
    table = {("POST", path): _inference(known) for path, known in _POST.items()}
    for method in _READ:
        table |= {(method, path): _inference(()) for path in _GET}
        table |= {(method, path): _MODELS for path in ("/v1/models", "/models")}
        table |= {
            (method, own.value): Route(None, own) for own in (Own.HEALTH, Own.LIVE, Own.READY)
        }
        table |= {
            (method, path): _ADMIN
            for path in ("/", "/favicon.ico", "/ui", "/logs", "/running", "/unload", "/upstream")
        }
        table[method, Own.METRICS.value] = Route(Scope.METRICS, Own.METRICS)
        table[method, _SWAP_METRICS] = _metrics_of("/metrics")
        table[method, Own.USAGE.value] = Route(Scope.ADMIN, Own.USAGE)
        table[method, Own.LOGIN.value] = Route(None, Own.LOGIN)
        table[method, Own.FILES.value] = Route(Scope.FILES, Own.FILES)
    table["POST", Own.LOGIN.value] = Route(None, Own.LOGIN)
    table["POST", Own.LOGOUT.value] = Route(None, Own.LOGOUT)
    return MappingProxyType(table)


TABLE = _table()
_SHARED = frozenset(path for (_, path), route in TABLE.items() if route.shared)
_ADMIN_PREFIXES = ("/api/", "/logs/", "/ui/")
_NOBODYS = "/api/v1/"  # of llama-swap's; what clients ask for here is behind a wrong base URL
_ANY_METHOD = "/upstream/"
_MODEL_PREFIXES = (Own.MODEL.value, "/models/")
_SLASH = re.compile("%2[fF]")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
_FILE = Route(Scope.FILES, Own.FILE)
_FILE_PATH = re.compile(PREFIX + "[0-9a-f]{64}")

# A `.` or `..` segment, an empty one, or an encoded `.`, `/`, `\`, `%`, `;`, NUL or control.
_AMBIGUOUS = re.compile(
    r"//|/\.{1,2}(?:/|;|$)|[\\#;]|%(?![0-9A-Fa-f]{2})|%(?:2[eEfF5]|5[cC]|3[bB]|[01]|7[fF])|[^!-~]"
)


def is_ambiguous(path: str) -> bool:
    """Whether two programs could understand this path as two different ones."""
    return not path.startswith("/") or _AMBIGUOUS.search(path) is not None


def route_of(method: str, path: str) -> Route | None:
    """The route; None if there is none, as for an ambiguous path. What is in the table is plain.

    Behind `/v1/models/` is the name of a model, whose slashes may be encoded: it is looked up here,
    and is no path for anybody.
    """
    if route := TABLE.get((method, path)):
        return route
    if method in _READ and path.startswith(_MODEL_PREFIXES) and path not in _MODEL_PREFIXES:
        return None if is_ambiguous(_SLASH.sub("/", path)) else _MODEL
    if is_ambiguous(path):
        return None
    if path.startswith(_ANY_METHOD) or (
        path.startswith(_ADMIN_PREFIXES) and not path.startswith(_NOBODYS) and method in METHODS
    ):
        return _ADMIN
    if method in _READ and _FILE_PATH.fullmatch(path):
        return _FILE
    if method in _READ and (model := _MODEL_METRICS.fullmatch(path)):
        return _metrics_of(f"/upstream/{model[1]}/metrics")
    return None


def is_shared(path: str) -> bool:
    """Whether pages of other web origins may be allowed to call this."""
    return path in _SHARED or path.startswith(_MODEL_PREFIXES)


def model_in(path: str) -> str | None:
    """The model that a path of `Own.MODEL` names; None if it cannot be read."""
    try:
        return unquote(path.partition("/models/")[2], errors="strict")
    except UnicodeDecodeError:
        return None
