"""Which headers pass in which direction, and what a request's credential is. Pure functions."""

from collections.abc import Mapping

from multidict import CIMultiDict, MultiMapping

Headers = CIMultiDict[str]

# RFC 9110 7.6.1, and the ones older programs treat so. They speak of one connection, not of the
# message; what `Connection` names belongs to them too.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

CREDENTIALS = frozenset({"authorization", "x-api-key"})

# Set anew or answered by this proxy. A client's word on who it is would be a lie waiting to happen.
OURS = frozenset(
    {
        "expect",
        "forwarded",
        "host",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
    }
)


def credential(headers: MultiMapping[str]) -> str | None:
    """The one secret of a request; None if there is none, more than one, or of another scheme.

    Two credentials are refused although one of them may be right: which of them counts would
    differ from program to program.
    """
    authorization = headers.getall("Authorization", [])
    api_keys = headers.getall("x-api-key", [])
    if len(authorization) + len(api_keys) != 1:
        return None
    if api_keys:
        return api_keys[0].strip() or None
    scheme, _, secret = authorization[0].partition(" ")
    return secret.strip() or None if scheme.lower() == "bearer" else None


def to_upstream(headers: MultiMapping[str], *, client: str, scheme: str) -> Headers:
    """The request's headers as llama-swap gets them."""
    passed = _without(headers, HOP_BY_HOP | CREDENTIALS | OURS | _named_by_connection(headers))
    passed["X-Forwarded-For"] = client
    passed["X-Forwarded-Proto"] = scheme
    if host := headers.get("Host"):
        passed["X-Forwarded-Host"] = host
    return passed


def to_client(headers: MultiMapping[str]) -> Headers:
    """The response's headers as the client gets them."""
    drop = HOP_BY_HOP | _named_by_connection(headers)
    if "Transfer-Encoding" in headers:
        drop |= {"content-length"}  # RFC 9112 6.3: it says nothing then, and would be believed
    passed = _without(headers, drop)
    for name in [name for name, value in passed.items() if not is_utf8(value)]:
        del passed[name]
    return passed


def wants_upgrade(headers: Mapping[str, str]) -> bool:
    """Whether a client asks to speak something else than HTTP.

    h2c may be overlooked (RFC 9110 7.8), and must be: `curl --http2` asks for it in passing.
    """
    protocols = {name.strip().lower() for name in headers.get("Upgrade", "").split(",")}
    return bool(protocols - {"", "h2c"})


def is_utf8(text: str) -> bool:
    """False for text that came as other bytes: aiohttp reads those, but cannot write them again."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _named_by_connection(headers: MultiMapping[str]) -> frozenset[str]:
    return frozenset(
        name.strip().lower()
        for line in headers.getall("Connection", [])
        for name in line.split(",")
    )


def _without(headers: MultiMapping[str], names: frozenset[str]) -> Headers:
    """The other headers. A repeated one is spelled as at first, or aiohttp would keep only one."""
    passed: Headers = CIMultiDict()
    spelling: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        if lower not in names:
            passed.add(spelling.setdefault(lower, name), value)
    return passed
