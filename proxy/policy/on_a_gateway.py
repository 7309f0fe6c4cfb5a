"""What is otherwise on a gateway, which has HAProxy behind it and the Macs behind that. Pure.

HAProxy is told what it chooses a Mac by, and what only we may say of a request is dropped from what
clients send.
"""

import re
from urllib.parse import quote

from proxy.exchange import RawHeaders
from proxy.keys.key import Scope
from proxy.policy.routes import Own, Route, route_of

PAGE = "/haproxy"
_ADMIN = Route(Scope.ADMIN)
_PAGES = {
    (method, path): route
    for method in ("GET", "HEAD")
    for path, route in {
        PAGE: _ADMIN,
        f"{PAGE};csv": _ADMIN,
        f"{PAGE};json": _ADMIN,
        f"{PAGE}/metrics": Route(Scope.METRICS),
    }.items()
}
"""HAProxy's own page, the same for programs, and its metrics."""
_PAGES["GET", Own.LIMITS.value] = Route(Scope.LIMITS, Own.LIMITS)

# What HAProxy and the Macs go by, or say in answers.
_OURS = frozenset({b"x-request-id", b"x-herd-model", b"x-served-by", b"x-served-why"})


def gateway_route_of(method: str, path: str) -> Route | None:
    """As `routes.route_of`, with HAProxy's pages in place of llama-swap's."""
    if route := _PAGES.get((method, path)):
        return route
    route = route_of(method, path)
    forwarded = route is not None and route.own is None
    if route is not None and forwarded and route.scope in (Scope.ADMIN, Scope.METRICS):
        return None
    return route


def of_clients(headers: RawHeaders) -> RawHeaders:
    """Without what only a gateway may say."""
    return [pair for pair in headers if pair[0].lower() not in _OURS]


def lines(request_id: str, model: str | None) -> bytes:
    """What goes up with a request: its id, and its model as it was read here, in whatever order,
    depth or form the client named it. Percent-encoded, as a name may hold anything."""
    told = f"X-Request-Id: {request_id}\r\n"
    if model is not None:
        told += f"X-Herd-Model: {_quoted(model)}\r\n"
    return told.encode()


_PLAIN = re.compile(r"[A-Za-z0-9._~/:@-]{1,256}")


_LONGEST = 512
"""Letters of a name; what is longer is nobody's, and is cut so that it stays so."""


def _quoted(model: str) -> str:
    if _PLAIN.fullmatch(model):
        return model
    cut = model if len(model) <= _LONGEST else f"{model[:_LONGEST]}..."
    return quote(cut, safe="/:@~")
