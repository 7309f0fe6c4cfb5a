"""The policy: keys, scopes, limits and books, behind the engine's interface.

Each decision is made in a module of its own; here they are put in order.
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from proxy.accounting.access_log import AccessLog, Line
from proxy.accounting.charging import Books, Ticket
from proxy.accounting.metrics import Metrics, Models
from proxy.accounting.tokens import NONE
from proxy.accounting.usage import Usage
from proxy.body.media_urls import Inspection
from proxy.body.named_model import is_form
from proxy.exchange import Caller, Fetch, File, Forward, Local, Outcome, Reply, Request
from proxy.gateways.sharing import Sharing
from proxy.keys.key import Key, Keys, Scope
from proxy.keys.rate_limits import Denied, Meter, Meters
from proxy.keys.shared_limits import SharedMeters
from proxy.keys.store import KeyStore
from proxy.model_files.verified import VerifiedFiles
from proxy.policy import behind_a_gateway, cors, error_dialect, login, on_a_gateway, retry_after
from proxy.policy.authentication import Identity
from proxy.policy.local_handlers import Handlers
from proxy.policy.not_found import nowhere, opens
from proxy.policy.revocation import logged_out, lost
from proxy.policy.routes import FORMS, Own, Route, route_of
from proxy.readiness.readiness import Readiness

TICK = 0.5
"""Seconds between two looks at what is running; nothing wakes up while nothing runs."""

LOOK_SECONDS = 0.001
"""Between two looks at the file with the keys; requests that come together share one."""

_JSON = ("Content-Type", "application/json")


@dataclass(slots=True, eq=False)
class Visitor:
    """Who a request is from, and what it leads to."""

    key: Key | None
    route: Route | None
    session: str | None = None
    """That of a browser, if the key was shown at its login only."""

    @property
    def label(self) -> str:
        """The key's name."""
        return self.key.name if self.key else "-"

    @property
    def known(self) -> bool:
        """Whether there is a key."""
        return self.key is not None


@dataclass(slots=True)
class PolicyState:
    """What the parts share."""

    keys: KeyStore
    usage: Usage | None = None
    metrics: Metrics = field(default_factory=Metrics)
    models: Models = field(default_factory=Models)
    sessions: login.Sessions = field(default_factory=login.Sessions)
    log: AccessLog = field(default_factory=AccessLog)
    files: VerifiedFiles | None = None
    """None serves no files."""
    readiness: Readiness = field(default_factory=Readiness)
    gateway: bool = False
    """Whether HAProxy is behind this, with the Macs of a herd."""
    sharing: Sharing | None = None
    """With other gateways; None where there is no other."""


class HerdPolicy:
    """Implements exchange.Policy."""

    def __init__(
        self, state: PolicyState, *, clock: Callable[[], float] = time.monotonic,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:  # fmt: skip
        self._state = state
        self._clock = clock
        self._look_seconds = look_seconds
        self._looked = -math.inf  # what was written since it is made counts for the first request
        self._keys = state.keys.current()
        self._books = Books(state.usage, state.metrics, state.models, clock)
        self._identity = Identity(state.sessions, clock)
        self._gateway = state.gateway
        self._route_of = on_a_gateway.gateway_route_of if state.gateway else route_of
        self._readiness = readiness = state.readiness
        readiness.open = lambda: len(self._books.inference())
        readiness.slots = lambda: self._keys.slots.total
        readiness.name_of = lambda model: self._keys.slots.name_of(model)
        self._handlers = Handlers(
            state.keys, state.usage, state.metrics, state.sessions, clock, state.files, readiness,
            on_a_gateway.PAGE if state.gateway else "/ui/", state.sharing,
        )  # fmt: skip
        readiness.numbers = self._handlers.numbers
        self._meters: Meters = Meters(self._books.used_today)
        self._shared: SharedMeters | None = None
        if state.sharing is not None:
            self._meters = self._shared = SharedMeters(self._books.used_today)
            state.sharing.serve(self._shared, lambda: self._keys, clock)
            self._share(self._shared)
        self._sending: dict[Request, Key] = {}  # files on their way
        self._held: dict[Request, Meter] = {}  # not let in yet, and counted
        self._timer: asyncio.TimerHandle | None = None
        state.keys.on_change = self.keys_changed
        state.metrics.keys = len(self._keys.entries)

    # -- exchange.Policy

    def authenticate(self, request: Request) -> Caller | Reply:
        """The key by a header, else by the session of a browser; open routes need none."""
        if request.started - self._looked >= self._look_seconds:
            self._looked = request.started
            self._keys = self._state.keys.current()
        if "Cookie" in request.headers:  # a credential, and never sent on
            request.raw_headers = [
                pair for pair in request.raw_headers if pair[0].lower() != b"cookie"
            ]
        if self._gateway:
            request.raw_headers = on_a_gateway.of_clients(request.raw_headers)
        if request.method == "OPTIONS" and cors.is_preflight(request.headers):
            return self._preflight(request)
        route = self._route_of(request.method, request.path)
        if route is not None and route.scope is None:
            return Visitor(None, route)
        shown = self._identity.key_of(request, self._keys, self.error)
        if isinstance(shown, Reply):
            return shown
        if shown.key.gateway:
            request.id = behind_a_gateway.id_of(request.headers.get("X-Request-Id"), request.id)
        return Visitor(shown.key, route, shown.session)

    def route(self, request: Request, caller: Caller) -> Forward | Reply | Local:
        """What is reachable, with this key."""
        assert isinstance(caller, Visitor)
        route, key = caller.route, caller.key
        if route is None or (route.scope is Scope.FILES and self._state.files is None):
            return self._nowhere(request, key, None)
        if not opens(key, route):
            return self._nowhere(request, key, route)
        if route.forward.needs_model and request.method in ("GET", "HEAD") and not request.query:
            message = f"Of which model? It belongs into the query: {request.path}?model=<name>"
            return self.error(404, "not_found", message, request)
        if route.own is not None:
            if route.own is Own.FILE and key is not None:
                self._sending[request] = key
                self._look_often()
            handled = self._handlers.handle(route.own, key, self.error)
            return handled if caller.session is None else _unkept(handled)
        if key is not None and route.scope is Scope.INFERENCE:
            if self._readiness.closed and (refusal := self._drained(request, key)):
                return refusal
            if Scope.ADMIN not in key.scopes:
                self._inspect(request)
        return route.forward

    def hold(self, request: Request, caller: Caller) -> Reply | None:
        """Counts into the key's `parallel` from here on."""
        assert isinstance(caller, Visitor)
        key = caller.key
        if key is None or (limits := self._keys.limits(key.name)) is None:
            return None
        meter = self._meters.of(key.name, limits, self._clock(), time.time())
        if denied := meter.hold():
            return self._over(request, denied, meter)
        self._held[request] = meter
        return None

    def admit(self, request: Request, caller: Caller, model: str | None) -> Ticket | Reply:
        """The key's models, then its limits."""
        self._let_go(request)
        assert isinstance(caller, Visitor)
        route, key = caller.route, caller.key
        if key is None or route is None:
            return self.error(404, "not_found", "There is nothing here.", request)
        if route.forward.needs_model and not key.may_use(model):
            return self._no_model(request, model)
        closed = self._readiness.closed and route.scope is Scope.INFERENCE  # since it began
        if closed and (refusal := self._drained(request, key)):
            return refusal
        if key.gateway and (refusal := self._full(request, model)):
            return refusal
        if self._gateway:
            request.up = on_a_gateway.lines(request.id, model)
        origins = self._keys.origins
        lines = cors.shared(request.path, request.headers, origins) if origins else []
        if route.scope is Scope.ADMIN:
            lines += login.UNFRAMED
        if caller.session is not None:
            lines.append(login.NO_STORE)
        meter = None
        charged = route.scope is Scope.INFERENCE  # an admin's pages are neither limited nor charged
        if charged and (limits := self._keys.limits(key.name)) is not None:
            now, today = self._clock(), time.time()
            meter = self._meters.of(key.name, limits, now, today)
            if denied := meter.enter(now, today):
                return self._over(request, denied, meter)
            lines += meter.headers(now, today)
        added = b""
        if lines:
            added = "".join([f"{name}: {value}\r\n" for name, value in lines]).encode()
        self._look_often()
        ticket = Ticket(
            self._books, key, model, request.started, path=request.path, charged=charged,
            meter=meter, added=added, context=self._keys.context(model),
        )  # fmt: skip
        self._books.open(request, ticket)
        return ticket

    def error(self, status: int, code: str, message: str, request: Request | None) -> Reply:
        """In the dialect of the client, which a page of another origin may read as well."""
        if code == "upstream_error" and request is not None and _of_gateway(request):
            status, code = 503, "upstream_unavailable"  # no byte came, so it may go elsewhere
        headers = [_JSON]
        if status == 401:
            # Claude Code takes a wrong key for one that is about to be renewed, and tries it for
            # minutes in silence, unless told.
            headers += [("WWW-Authenticate", "Bearer"), ("x-should-retry", "false")]
        elif status == 426:  # what must be spoken here: RFC 9110 15.5.22
            headers += [("Upgrade", "HTTP/1.1"), ("Connection", "Upgrade")]
        if code in retry_after.SECONDS:
            headers.append(("Retry-After", retry_after.SECONDS[code]))
        spoken, request_id = error_dialect.Dialect.OPENAI, None
        if request is not None:
            spoken, request_id = error_dialect.dialect_of(request.path, request.headers), request.id
            headers += cors.shared(request.path, request.headers, self._keys.origins)
        body = error_dialect.error_body(spoken, status, code, message, request_id)
        return Reply(status=status, headers=headers, body=body)

    def instead(self, request: Request, status: int, body: bytes) -> Reply | None:
        """For a gateway, which is to go elsewhere; others are told what llama-swap said."""
        if not _of_gateway(request) or (told := behind_a_gateway.elsewhere(status, body)) is None:
            return None
        return self.error(503, *told, request)

    def translate(self, request: Request, status: int, content_type: bytes, body: bytes) -> bytes:
        """For clients of the API; the dashboard reads llama-swap's own words."""
        route = self._route_of(request.method, request.path)
        if route is None or route.scope is not Scope.INFERENCE:
            return body
        spoken = error_dialect.dialect_of(request.path, request.headers)
        if content_type.startswith(b"text/event-stream"):
            return error_dialect.translated_events(spoken, body, request.id)
        if content_type.startswith(b"text/html"):
            return error_dialect.of_haproxy(spoken, status, request.id) if self._gateway else body
        if not content_type.startswith(b"text/plain"):
            return error_dialect.translated(spoken, status, body, request.id)
        if "text/plain" in request.headers.get("Accept", ""):
            return body  # that is what it asked for
        return error_dialect.of_text(spoken, status, body, request.id)

    def refused(self, request_id: str, client: str, status: int, why: str) -> None:
        """The line in the log, or what stands for many."""
        self._state.log.refused(request_id, client, status, why)

    def done(self, request: Request, outcome: Outcome) -> None:
        """The line in the log, and what is counted of every request."""
        if self._sending:
            self._sending.pop(request, None)
        self._let_go(request)
        if self._shared is not None and _is_told_limits(request, outcome):
            return
        name = request.caller.label if request.caller else "-"
        ticket = self._books.close(request, name, outcome)
        first = prompt = completion = None
        if ticket is not None and (ticket.status or ticket.tokens != NONE):
            first, (prompt, completion, _) = ticket.first, ticket.tokens
        line = Line(
            request.id, request.client, name, request.method, request.path, request.model,
            outcome.status, outcome.seconds, first, prompt, completion, outcome.sent, outcome.how,
        )  # fmt: skip
        self._state.log.write(line, minor=ticket is None)

    # -- the owner's

    def keys_changed(self, keys: Keys) -> None:
        """Ends what runs with a key that is gone, or that would no longer let it in."""
        self._keys = keys
        self._state.metrics.keys = len(keys.entries)
        self._end_what_is_over()
        self._meters.keep(keys.names())
        if self._shared is not None:
            self._share(self._shared)

    def _share(self, meters: SharedMeters) -> None:
        """Other gateways are to hear of every name what was used of this day."""
        used = self._books.all_used_today()
        meters.begin(self._keys.limited(), used, self._clock(), time.time())

    def _end_what_is_over(self) -> None:
        now, today, sessions = self._clock(), time.time(), self._state.sessions
        running = [(request, ticket.key) for request, ticket in self._books.running.items()]
        for request, key in [*running, *self._sending.items()]:
            caller = request.caller
            if isinstance(caller, Visitor) and caller.route is not None:
                why = logged_out(caller.session, sessions, now) or lost(
                    key, caller.route, request.model, self._keys, today
                )
                if why:
                    request.abort(f"broken off: {why}")

    def _look_often(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)

    def _tick(self) -> None:
        """While requests run: looks for changed keys and ended sessions, and charges what streams
        have sent so far."""
        self._timer = None
        if self._books.running or self._sending:
            self._look_often()
        self._state.keys.current()
        self._end_what_is_over()
        self._books.settle()
        if self._readiness.watch is not None:
            self._readiness.watch(self._books.inference())

    # -- steps

    def _drained(self, request: Request, key: Key) -> Reply | None:
        owner = Scope.ADMIN in key.scopes
        message = self._readiness.refuses(owner=owner, gateway=key.gateway)
        return self.error(503, "draining", message, request) if message else None

    def _full(self, request: Request, model: str | None) -> Reply | None:
        """A gateway's request beyond a model's slots is better off on another Mac."""
        running = (ticket.model for ticket in self._books.running.values())
        message = self._keys.slots.taken(model, running)
        return self.error(503, "model_busy", message, request) if message else None

    def _let_go(self, request: Request) -> None:
        if self._held and (meter := self._held.pop(request, None)) is not None:
            meter.leave()

    def _preflight(self, request: Request) -> Reply:
        allowed = cors.preflight(request.path, request.headers, self._keys.origins)
        if allowed is None:
            return self.error(403, "origin_not_allowed", "This origin is not allowed.", request)
        return Reply(status=204, headers=allowed)

    def _inspect(self, request: Request) -> None:
        if request.path in FORMS and is_form(request.headers.get("Content-Type", "")):
            return  # files, in which anything may stand
        calls = error_dialect.is_anthropic(request.path)
        inspection = Inspection(self._keys.media, calls=calls)

        def inspect(data: bytes) -> Reply | None:
            if (name := inspection.feed(data)) is None:
                return None
            message = (
                f"'{name}' has a URL that is not fetched for this key. Send the content itself: "
                "data:image/png;base64,..."
            )
            return self.error(400, "media_url_not_allowed", message, request)

        request.inspect = inspect

    def _nowhere(self, request: Request, key: Key | None, route: Route | None) -> Reply:
        found = nowhere(request, key, route, self._route_of)
        plain = self.error(found.status, found.code, found.message, request)
        if not found.allow:
            return plain
        return replace(plain, headers=[*plain.headers, ("Allow", found.allow)])

    def _no_model(self, request: Request, model: str | None) -> Reply:
        if model is None:
            message = "This API key may use some models only, and the request names none."
            return self.error(400, "model_required", message, request)
        message = "This API key may not use this model, or it does not exist."
        return self.error(404, "model_not_found", message, request)

    def _over(self, request: Request, denied: Denied, meter: Meter) -> Reply:
        plain = self.error(429, "rate_limit_exceeded", denied.message(), request)
        told = meter.headers(self._clock(), time.time())
        return Reply(status=429, headers=[*plain.headers, *denied.headers(), *told],
                     body=plain.body, note="over limit")  # fmt: skip


def _of_gateway(request: Request) -> bool:
    caller = request.caller
    return isinstance(caller, Visitor) and caller.key is not None and caller.key.gateway


def _is_told_limits(request: Request, outcome: Outcome) -> bool:
    """Whether it is another gateway's, which asks again with each answer."""
    caller = request.caller
    route = caller.route if isinstance(caller, Visitor) else None
    return route is not None and route.own is Own.LIMITS and outcome.status == 200


def _unkept(handled: Reply | Local) -> Reply | Local:
    """The same for a session: its answer is kept nowhere."""

    async def handler(request: Request, body: bytes, fetch: Fetch) -> Reply | File:
        assert isinstance(handled, Local)
        answer = await handled.handler(request, body, fetch)
        kept = [pair for pair in answer.headers if pair[0] != login.NO_STORE[0]]
        return replace(answer, headers=[*kept, login.NO_STORE])

    return Local(handler) if isinstance(handled, Local) else handled
