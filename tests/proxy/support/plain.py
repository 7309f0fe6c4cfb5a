"""The plainest policy: whoever has a key may do everything, and one line per request says so."""

import json
import logging
from dataclasses import dataclass

from proxy.exchange import Caller, Forward, Local, Outcome, Reply, Request
from proxy.keys.credential import NoKey, credential
from proxy.keys.store import KeyStore

_log = logging.getLogger("proxy.access")

LONGEST_PATH = 200
RETRY_AFTER = {"upstream_unavailable": "5", "shutting_down": "2", "too_many_connections": "2"}


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """A caller."""

    label: str
    known: bool = True


class NoBooks:
    """A ticket that keeps nothing."""

    def body(self, data: bytes, *, complete: bool) -> str:
        return ""

    def head(self, status: int, kind: bytes) -> bytes:
        return b""

    def data(self, chunk: bytes) -> None:
        pass

    def finish(self, outcome: Outcome) -> None:
        pass


_NO_BOOKS = NoBooks()


class PlainPolicy:
    """A `Policy` for a list of keys."""

    def __init__(self, keys: KeyStore) -> None:
        self._keys = keys

    def authenticate(self, request: Request) -> Caller | Reply:
        if request.method in ("GET", "HEAD") and request.target == "/healthz":
            return Reply(
                status=200, headers=[("Content-Type", "text/plain; charset=utf-8")], body=b"ok\n"
            )
        secret = credential(request.headers)
        if isinstance(secret, NoKey):
            return self.error(401, "invalid_api_key", secret.why, request)
        key = self._keys.current().find(secret)
        if key is None:
            return self.error(401, "invalid_api_key", "This API key is not known here.", request)
        return KeyHolder(key.name)

    def route(self, request: Request, caller: Caller) -> Forward | Reply | Local:
        return Forward(needs_model=False)

    def hold(self, request: Request, caller: Caller) -> Reply | None:
        return None

    def admit(self, request: Request, caller: Caller, model: str | None) -> NoBooks:
        return _NO_BOOKS

    def error(self, status: int, code: str, message: str, request: Request | None) -> Reply:
        kind = "api_error" if status >= 500 else "invalid_request_error"
        error = {"message": message, "type": kind, "param": None, "code": code}
        headers = [("Content-Type", "application/json; charset=utf-8")]
        if status == 401:
            headers.append(("WWW-Authenticate", "Bearer"))
        if status == 426:
            headers += [("Upgrade", "HTTP/1.1"), ("Connection", "Upgrade")]
        if code in RETRY_AFTER:
            headers.append(("Retry-After", RETRY_AFTER[code]))
        return Reply(status=status, headers=headers, body=json.dumps({"error": error}).encode())

    def instead(self, request: Request, status: int, body: bytes) -> Reply | None:
        return None

    def translate(self, request: Request, status: int, content_type: bytes, body: bytes) -> bytes:
        return body

    def refused(self, request_id: str, client: str, status: int, why: str) -> None: ...

    def done(self, request: Request, outcome: Outcome) -> None:
        path = request.path[:LONGEST_PATH]
        _log.info(
            "%s %s key=%s %s %s %d %.3fs %dB %s",
            request.id,
            request.client,
            request.caller.label if request.caller else "-",
            request.method,
            path.encode("ascii", "backslashreplace").decode(),
            outcome.status,
            outcome.seconds,
            outcome.sent,
            outcome.how,
        )
