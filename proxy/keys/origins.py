"""Which origins may use the proxy from a browser or an app: exactly named ones, and patterns. Pure.

An origin is a scheme and a host, of any scheme: apps and extensions have their own, as
`app://obsidian.md`. In a pattern the port may be `*`, the first label of a host may be, and all of
the host where the scheme is no web's: an extension's host is another one in each browser.
"""

import re
from collections.abc import Iterable

_HOST = "[a-z0-9_.-]+"
_ORIGIN = re.compile(
    rf"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\*|(\*\.)?{_HOST}|\[[0-9a-f:.]+\])"
    r"(:(?P<port>\*|[1-9][0-9]{0,4}))?"
)
_WEB = {"http": "80", "https": "443"}


def fault_of(origin: object) -> str | None:
    """Why no browser would send this as `Origin`, or everybody's would."""
    if not isinstance(origin, str):
        return "is no text"
    if origin == "null":
        return "is what any page may have that hides where it is from, as a file or a sandbox"
    if origin == "*":
        return "would be every page of the web"
    if origin != origin.lower() or not origin.isascii():
        return "is not in lower case as browsers send it, with a host in ASCII (xn--...)"
    found = _ORIGIN.fullmatch(origin)
    if found is None:
        return "is no scheme and host, as https://chat.example.com or app://obsidian.md"
    scheme, host, port = found["scheme"], found["host"], found["port"]
    if scheme in _WEB and (host == "*" or (host.startswith("*.") and "." not in host[2:])):
        return "would be every page of the web, or of a whole top-level domain"
    if port is not None and port == _WEB.get(scheme):
        return f"has the port that browsers leave out of {scheme}"
    if port not in (None, "*") and int(port) > 65535:
        return "has a port over 65535"
    return None


class Origins:
    """Those that are allowed."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        allowed = frozenset(allowed)
        self._named = frozenset(each for each in allowed if "*" not in each)
        patterns = [_pattern(each) for each in sorted(allowed - self._named)]
        self._like = re.compile("|".join(patterns)) if patterns else None

    def __contains__(self, origin: object) -> bool:
        """Whether this `Origin`, as a browser sent it, is one of them."""
        if origin in self._named:
            return True
        return (
            self._like is not None
            and isinstance(origin, str)
            and self._like.fullmatch(origin) is not None
        )

    def __bool__(self) -> bool:
        return bool(self._named) or self._like is not None


def _pattern(allowed: str) -> str:
    found = _ORIGIN.fullmatch(allowed)
    if found is None:
        raise ValueError(allowed)
    host = found["host"]
    if host == "*":
        host = r"[a-z0-9_.-]+"
    elif host.startswith("*."):
        host = r"([a-z0-9_-]+\.)+" + re.escape(host[2:])
    else:
        host = re.escape(host)
    port = found["port"]
    end = "" if port is None else "(:[0-9]{1,5})?" if port == "*" else f":{port}"
    return f"{re.escape(found['scheme'])}://{host}{end}"
