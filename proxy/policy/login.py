"""The dashboard's login: a browser shows an admin key once, and gets a cookie for the session.

A cookie is sent by the browser whoever caused the request, so what comes with one must also be
caused by this proxy's own pages: SameSite=Strict keeps other sites out, and the Origin and
Sec-Fetch-Site of the request keep out the other ports of this host, which are the same site.
"""

import html
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from proxy.exchange import Request
from proxy.keys.key import Key

SECONDS = 12 * 3600
MOST = 1000

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Log in</title>
<meta name="viewport" content="width=device-width">
<style>
body {{ font: 1rem system-ui, sans-serif; max-width: 22rem; margin: 20vh auto; padding: 0 1rem }}
input, button {{ font: inherit; box-sizing: border-box; width: 100%; padding: .5rem; margin: .5rem 0 }}
</style></head>
<body><h1>Dashboard</h1>
<form method="post" action="/login">
<label for="key">An API key with the scope <code>admin</code></label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
<button>Log in</button>
</form>
<p role="alert">{message}</p>
</body></html>
"""  # noqa: E501

PAGE_HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy",
     "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
     "frame-ancestors 'none'; base-uri 'none'"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
)  # fmt: skip


UNFRAMED = (("X-Frame-Options", "DENY"), ("Content-Security-Policy", "frame-ancestors 'none'"))
"""For llama-swap's own pages: one that shows them within itself could have them clicked on."""

NO_STORE = ("Cache-Control", "no-store")
"""For what a session is shown: a browser keeps it longer than that, and for whoever comes next."""


def page(message: str = "") -> bytes:
    """The form."""
    return _PAGE.format(message=html.escape(message)).encode()


def posted_key(body: bytes) -> str | None:
    """The key of a posted form."""
    try:
        fields = parse_qs(body.decode(), strict_parsing=True, max_num_fields=4)
    except ValueError:
        return None
    keys = fields.get("key", [])
    return keys[0].strip() if len(keys) == 1 else None


Client = tuple[str, ...]
"""What a session is bound to: a cookie that was read by others on its way, or by another program
of the same host, is of no use elsewhere."""


def client_of(request: Request) -> Client:
    """The browser, its address, and the name by which it knows this proxy."""
    headers = request.headers
    return request.client, headers.get("User-Agent", ""), headers.get("Host", "")


@dataclass(frozen=True, slots=True)
class Session:
    """Whose it is, until when, and where it was begun."""

    key: Key
    ends: float
    client: Client


class Sessions:
    """The logins of this process; a restart ends them."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    def begin(self, key: Key, client: Client, now: float) -> str:
        """A new session's id. `now` is monotonic."""
        for id_ in [id_ for id_, session in self._sessions.items() if session.ends <= now]:
            del self._sessions[id_]
        while len(self._sessions) >= MOST:
            del self._sessions[next(iter(self._sessions))]
        id_ = secrets.token_urlsafe(32)
        self._sessions[id_] = Session(key, now + SECONDS, client)
        return id_

    def find(self, id_: str, client: Client, now: float) -> Key | None:
        """The key that was shown at the login, by the same client."""
        session = self._sessions.get(id_)
        fits = session and now < session.ends and session.client == client
        return session.key if session and fits else None

    def is_open(self, id_: str, now: float) -> bool:
        """Whether it goes on."""
        session = self._sessions.get(id_)
        return session is not None and now < session.ends

    def end(self, id_: str) -> None:
        """A logout."""
        self._sessions.pop(id_, None)


def cookie_name(scheme: str, host: str) -> str:
    """Browsers accept a name with this prefix from this very host only, and only over TLS.

    To them all ports of a host are one: the dashboards of several Macs, each through a tunnel,
    are told apart by the name.
    """
    port = re.search(r":(\d{1,5})$", host)
    return ("__Host-herd" if scheme == "https" else "herd") + (f"-{port[1]}" if port else "")


def set_cookie(request: Request, id_: str | None) -> tuple[str, str]:
    """The header that gives a session to the browser, or takes it."""
    scheme = request.scheme
    name = cookie_name(scheme, request.headers.get("Host", ""))
    age = SECONDS if id_ else 0
    secure = "; Secure" if scheme == "https" else ""
    value = f"{name}={id_ or ''}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict"
    return "Set-Cookie", value + secure


def session_id(request: Request) -> str:
    """The session that a browser claims to have, "" for none."""
    headers = request.headers
    name = cookie_name(request.scheme, headers.get("Host", ""))
    # Ours have no quotes and no escapes, on which others' parsers have spent seconds
    # (CVE-2024-7592); of two of one name neither counts.
    pairs = (pair.partition("=") for pair in headers.get("Cookie", "").split(";"))
    found = [value.strip() for named, _, value in pairs if named.strip() == name]
    return found[0] if len(found) == 1 else ""


def is_same_origin(headers: Mapping[str, str], scheme: str) -> bool:
    """Whether one of our own pages caused this request, as the browser tells it."""
    if site := headers.get("Sec-Fetch-Site"):
        return site == "same-origin"
    origin = urlsplit(headers.get("Origin", ""))
    return bool(origin.netloc) and (origin.scheme, origin.netloc) == (scheme, headers.get("Host"))


def may_use_cookie(method: str, path: str, headers: Mapping[str, str], scheme: str) -> bool:
    """Whether a request may act by its cookie.

    Our pages may do anything. What the user typed or followed may only show pages: a GET of
    /unload or /upstream/ changes something. Without a word from the browser, as from an old one
    or from curl with a cookie, only what is read counts as safe.
    """
    if is_same_origin(headers, scheme):
        return True
    if method not in ("GET", "HEAD") or path == "/unload" or path.startswith("/upstream/"):
        return False
    if "Sec-Fetch-Site" not in headers:
        return "Origin" not in headers
    return headers["Sec-Fetch-Site"] == "none" or headers.get("Sec-Fetch-Mode") == "navigate"


def wants_page(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a person is waiting for a page, who can be sent to the login."""
    return method == "GET" and "text/html" in headers.get("Accept", "")
