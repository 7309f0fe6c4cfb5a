"""What is answered here and not by llama-swap: health, metrics, models, usage, login, files."""

import json
import time
from collections.abc import Callable, Sequence
from urllib.parse import parse_qs

from proxy.accounting.metrics import CONTENT_TYPE, Metrics
from proxy.accounting.usage import Usage, first_day
from proxy.exchange import Error, Fetch, Local, LocalHandler, Reply, Request
from proxy.gateways.sharing import Sharing
from proxy.keys.key import Key, Scope
from proxy.keys.store import KeyStore
from proxy.model_files.handler import Files
from proxy.model_files.verified import VerifiedFiles
from proxy.policy import cors, login, model_list
from proxy.policy.error_dialect import Dialect, dialect_of
from proxy.policy.routes import Own, model_in
from proxy.readiness.readiness import Readiness

_TEXT = ("Content-Type", "text/plain; charset=utf-8")
_JSON = ("Content-Type", "application/json")


class Handlers:
    """A handler for each of routes.Own."""

    def __init__(
        self, keys: KeyStore, usage: Usage | None, metrics: Metrics, sessions: login.Sessions,
        clock: Callable[[], float], shelf: VerifiedFiles | None, readiness: Readiness,
        dashboard: str, sharing: Sharing | None,
    ) -> None:  # fmt: skip
        self._keys = keys
        self._usage = usage
        self._metrics = metrics
        self._sessions = sessions
        self._clock = clock
        self._readiness = readiness
        self._dashboard = dashboard
        self._sharing = sharing
        self._files = Files(shelf) if shelf is not None else None

    def handle(self, own: Own, key: Key | None, error: Error) -> Reply | Local:
        """The answer, or who makes it."""
        match own:
            case Own.HEALTH:
                return Reply(status=200, headers=[_TEXT], body=b"ok\n")
            case Own.METRICS:
                headers = [("Content-Type", CONTENT_TYPE)]
                return Reply(status=200, headers=headers, body=self.numbers())
            case Own.LIVE:
                return Local(self._live)
            case Own.READY:
                return Local(self._ready)
            case Own.MODELS | Own.MODEL:
                return Local(self._models_of(key, error, one=own is Own.MODEL))
            case Own.USAGE:
                return Local(self._used(error))
            case Own.LIMITS if self._sharing is not None:
                return Local(self._limits(self._sharing, error))
            case Own.LOGIN:
                return Local(self._login)
            case Own.LOGOUT:
                return Local(self._logout)
            case Own.FILES if self._files is not None:
                return Local(self._files.listed)
            case Own.FILE if self._files is not None:
                return Local(self._files.sent(error))
            case _:
                return error(404, "not_found", "There is nothing here.", None)

    def numbers(self) -> bytes:
        """As Prometheus reads it."""
        self._metrics.drained = bool(self._readiness.closed)
        self._metrics.stuck = self._readiness.stuck
        if self._sharing is not None:
            self._metrics.heard = self._sharing.heard
        return self._metrics.text()

    async def _live(self, request: Request, body: bytes, fetch: Fetch) -> Reply:
        """Whether llama-swap answers and models give tokens, which /healthz does not ask."""
        return self._told("live", await self._readiness.not_live(fetch))

    async def _ready(self, request: Request, body: bytes, fetch: Fetch) -> Reply:
        """Whether anybody should be sent here: as above, and not drained."""
        return self._told("ready", await self._readiness.not_ready(fetch))

    def _told(self, good: str, why_not: str) -> Reply:
        self._metrics.upstream = self._readiness.upstream
        if not why_not:
            return Reply(status=200, headers=[_TEXT], body=f"{good}\n".encode())
        headers = [_TEXT, ("Retry-After", "5")]
        return Reply(status=503, headers=headers, body=f"{why_not}\n".encode())

    def _models_of(self, key: Key | None, error: Error, *, one: bool) -> LocalHandler:
        async def models(request: Request, body: bytes, fetch: Fetch) -> Reply:
            answer = await fetch("/v1/models")
            try:
                if answer.status != 200:
                    raise ValueError
                entries = model_list.of_key(model_list.read(answer.body), key)
            except (ValueError, KeyError, TypeError, AttributeError):
                code = "upstream_unavailable" if answer.status == 503 else "upstream_error"
                status = 503 if answer.status == 503 else 502
                return error(status, code, "llama-swap did not list its models.", request)
            to_anthropic = dialect_of(request.path, request.headers) is Dialect.ANTHROPIC
            try:
                if one:
                    told = model_list.one(
                        entries, model_in(request.path), to_anthropic=to_anthropic
                    )
                elif to_anthropic:
                    told = model_list.anthropic(entries, request.query)
                else:
                    told = model_list.openai(entries)
            except model_list.BadPage as fault:
                return error(400, "bad_request", str(fault), request)
            except KeyError:
                message = "There is no model of this name in this API key's list, /v1/models."
                return error(404, "model_not_found", message, request)
            shared = cors.shared(request.path, request.headers, self._keys.current().origins)
            body = json.dumps(told).encode()
            return Reply(status=200, headers=[_JSON, *shared], body=body)

        return models

    def _used(self, error: Error) -> LocalHandler:
        async def used(request: Request, body: bytes, fetch: Fetch) -> Reply:
            query = parse_qs(request.query, keep_blank_values=True)
            since, key = query.get("since", ["0001-01-01"])[-1], query.get("key", [None])[-1]
            if self._usage is None:
                return error(404, "not_found", "This proxy keeps no books.", request)
            if unknown := query.keys() - {"since", "key"}:
                message = f"There is no {min(unknown)!r} here, only since and key."
                return error(400, "bad_request", message, request)
            try:
                since = first_day(since)
            except ValueError:
                message = "since is days as 7d or a date as 2026-11-01."
                return error(400, "bad_request", message, request)
            try:
                rows = [row._asdict() for row in self._usage.rows(since, key)]
            except ValueError:
                return error(500, "internal_error", "The books cannot be read.", request)
            headers = [_JSON, login.NO_STORE]
            return Reply(status=200, headers=headers, body=json.dumps({"data": rows}).encode())

        return used

    def _limits(self, sharing: Sharing, error: Error) -> LocalHandler:
        async def limits(request: Request, body: bytes, fetch: Fetch) -> Reply:
            try:
                told = await sharing.answering.answer(request.query)
            except ValueError as fault:
                return error(400, "bad_request", f"The query is {fault}.", request)
            return Reply(status=200, headers=[_JSON], body=told)

        return limits

    async def _login(self, request: Request, body: bytes, fetch: Fetch) -> Reply:
        if request.method != "POST":
            return _page(200)
        if not login.is_same_origin(request.headers, request.scheme):
            return _page(403, "Please log in on this page itself.")
        key = self._keys.current().find(login.posted_key(body) or "")
        if key is None or Scope.ADMIN not in key.scopes or key.expired(time.time()):
            return _page(401, "This is no key with the scope admin.")
        session = self._sessions.begin(key, login.client_of(request), self._clock())
        headers = [
            ("Location", self._dashboard),
            login.set_cookie(request, session),
            login.NO_STORE,
        ]
        return Reply(status=303, headers=headers)

    async def _logout(self, request: Request, body: bytes, fetch: Fetch) -> Reply:
        if not login.is_same_origin(request.headers, request.scheme):
            return _page(403, "Please log out on a page of the dashboard.")
        self._sessions.end(login.session_id(request))
        gone = login.set_cookie(request, None)
        return Reply(status=303, headers=[("Location", Own.LOGIN.value), gone, login.NO_STORE])


def _page(status: int, message: str = "") -> Reply:
    headers: Sequence[tuple[str, str]] = login.PAGE_HEADERS
    return Reply(status=status, headers=headers, body=login.page(message))
