"""Which headers of a request pass, and which requests are no plain exchange. Pure functions."""

from operator import itemgetter

from multidict import MultiMapping

from proxy.exchange import RawHeaders, Request

# RFC 9110 7.6.1, and the ones older programs treat so. They speak of one connection, not of the
# message; what `Connection` names belongs to them too.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

# A key of ours may be in any of these, whichever is read here (credential.HEADERS, and Google's).
CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"})

# Set anew or answered by this proxy. A client's word on who it is would be a lie waiting to happen.
OURS = frozenset(
    {
        b"expect",
        b"forwarded",
        b"host",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-real-ip",
    }
)

_VALUE = itemgetter(1)
_COMMON = frozenset({b"keep-alive", b"close"})  # values of Connection that name no header

_DROPPED = HOP_BY_HOP | CREDENTIALS | OURS


def to_upstream(
    headers: RawHeaders, *, host: bytes, client: str, scheme: str,
    key: bytes = b"", content: bytes | None = None,
) -> bytes:  # fmt: skip
    """The header lines llama-swap gets, without those that say where the body ends if chunked.

    `key` is the line with its own key, which stands where the client's stood; `content` are lines
    that stand for all that the client says about its body."""
    forwarded_host = None
    named = frozenset[bytes]()
    lines = [b"Host: " + host]
    for pair in headers:
        lower = pair[0].lower()
        if lower not in _DROPPED and (content is None or not lower.startswith(b"content-")):
            lines.append(b": ".join(pair))
        elif lower == b"host":
            forwarded_host = pair[1]
        elif lower == b"connection" and pair[1].lower() not in _COMMON:
            named |= named_by_connection(headers)
    if named:
        lines[1:] = [line for line in lines[1:] if line.partition(b":")[0].lower() not in named]
    forwarded = f"X-Forwarded-For: {client}\r\nX-Forwarded-Proto: {scheme}\r\n".encode()
    if forwarded_host:
        forwarded += b"X-Forwarded-Host: " + forwarded_host + b"\r\n"
    lines.append(key + forwarded + (content or b""))
    return b"\r\n".join(lines)


def named_by_connection(headers: RawHeaders) -> frozenset[bytes]:
    """The headers that belong to the connection because its own header says so.

    Not what says how the body is to be read: without its length it would be taken for the next
    request.
    """
    named = (
        part.strip().lower()
        for name, value in headers
        if name.lower() == b"connection"
        for part in value.split(b",")
    )
    return frozenset(name for name in named if not name.startswith(b"content-"))


def fault(request: Request, *, chunked: bool) -> tuple[str, str] | None:
    """Why a request is no plain exchange of messages, or would change its meaning on the way: a
    code and a message."""
    if not request.target.startswith("/"):
        return "bad_request", "The request target must be a path."
    if len(request.headers.getall("Host", ())) != 1 and request.version >= (1, 1):
        return "bad_request", "Exactly one Host is needed."
    if chunked and not is_chunked_or_plain(request.headers):
        return "bad_request", "The only transfer coding possible here is chunked."
    if not all_utf8(request.target, request.raw_headers):
        return "bad_request", "The head of the request is not UTF-8."
    return None


def wants_upgrade(headers: MultiMapping[str]) -> bool:
    """Whether a client asks to speak something else than HTTP.

    h2c may be overlooked (RFC 9110 7.8), and must be: `curl --http2` asks for it in passing.
    """
    if "Upgrade" not in headers:
        return False
    protocols = {
        name.strip().lower() for line in headers.getall("Upgrade", ()) for name in line.split(",")
    }
    return bool(protocols - {"", "h2c"})


def is_chunked_or_plain(headers: MultiMapping[str]) -> bool:
    """Whether the body has no transfer coding but chunked."""
    codings = headers.getall("Transfer-Encoding", ())
    return not codings or [coding.strip().lower() for coding in codings] == ["chunked"]


def is_utf8(value: bytes) -> bool:
    """Whether these bytes mean the same to everyone."""
    if value.isascii():
        return True
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def all_utf8(target: str, headers: RawHeaders) -> bool:
    """Whether a head has no bytes that programs would read differently."""
    # One look at all of them: nearly always they are ASCII.
    return (target.isascii() or _encodes(target)) and (
        b"".join(map(_VALUE, headers)).isascii() or all(is_utf8(value) for _, value in headers)
    )


def _encodes(text: str) -> bool:
    """False for text with surrogates, which is how the parser keeps bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
