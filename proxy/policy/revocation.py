"""Whether what was let in may go on: streams outlive what they were let in by. Pure."""

from proxy.keys.key import Key, Keys, Scope
from proxy.policy.login import Sessions
from proxy.policy.not_found import opens
from proxy.policy.routes import Route


def lost(
    key: Key, route: Route, model: str | None, keys: Keys, today: float
) -> str | None:  # fmt: skip
    """What it would be refused for by these keys, if it came now; None if nothing.

    An expired key lets its completions finish, as those end by themselves; what an administrator
    watches does not.
    """
    now = keys.current(key)
    if now is None:
        return "key revoked"
    if not opens(now, route):
        return "key lost its scope"
    if route.forward.needs_model and not now.may_use(model):
        return "key lost its model"
    if route.scope is Scope.ADMIN and now.expired(today):
        return "key expired"
    return None


def logged_out(session: str | None, sessions: Sessions, now: float) -> str | None:
    """The same of the session that a request came by, if it did."""
    return None if session is None or sessions.is_open(session, now) else "session ended"
