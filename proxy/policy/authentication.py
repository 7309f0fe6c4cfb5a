"""Who a request is from: its key, named in a header or behind the session of a browser."""

import time
from collections.abc import Callable
from typing import NamedTuple

from proxy.exchange import Error, Reply, Request
from proxy.keys.credential import NoKey, advice, credential, is_shown
from proxy.keys.key import Key, Keys, Scope
from proxy.policy import login
from proxy.policy.routes import Own


class Shown(NamedTuple):
    """A key, and the session that it was shown for, if it was not shown itself."""

    key: Key
    session: str | None


class Identity:
    """Finds the key of a request."""

    def __init__(self, sessions: login.Sessions, clock: Callable[[], float]) -> None:
        self._sessions = sessions
        self._clock = clock

    def key_of(self, request: Request, keys: Keys, error: Error) -> Shown | Reply:
        """The key, or the refusal; a session is looked for only if no header names a key."""
        secret = credential(request.headers)
        if isinstance(secret, NoKey):
            if not is_shown(request.headers):
                return self._of_session(request, keys, error, secret.why)
            return error(401, "invalid_api_key", secret.why, request)
        key = keys.find(secret)
        if key is None:
            message = "This API key is not known here." + advice(secret)
            return error(401, "invalid_api_key", message, request)
        if key.expires is not None and key.expired(time.time()):
            return error(401, "expired_api_key", "This API key has expired.", request)
        return Shown(key, None)

    def _of_session(
        self, request: Request, keys: Keys, error: Error, why: str
    ) -> Shown | Reply:  # fmt: skip
        id_ = login.session_id(request)
        shown = self._sessions.find(id_, login.client_of(request), self._clock())
        key = keys.current(shown) if shown else None
        if key is None or key.expired(time.time()) or Scope.ADMIN not in key.scopes:
            if login.wants_page(request.method, request.headers):
                to_login = ("Location", Own.LOGIN.value)
                return Reply(status=303, headers=[to_login, login.NO_STORE])
            return error(401, "invalid_api_key", why, request)
        if not login.may_use_cookie(request.method, request.path, request.headers, request.scheme):
            message = "This request was not caused by a page of the dashboard."
            return error(403, "cross_site_request", message, request)
        return Shown(key, id_)
