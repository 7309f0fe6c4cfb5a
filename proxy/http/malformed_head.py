"""Heads that are no HTTP which everyone reads in the same way, and what is said of each. Pure.

aiohttp's words quote what was sent, a key among it; ours never do.
"""

import re
from dataclasses import dataclass

from aiohttp.http_exceptions import BadHttpMethod, InvalidURLError, LineTooLong

LONGEST_TARGET = 8190
LONGEST_FIELD = LONGEST_TARGET + 2  # told apart by it in aiohttp's error, which has only the limit
MOST_HEADERS = 128


@dataclass(slots=True, eq=False)
class Malformed(Exception):
    """A request that ends its connection, and the answer to it."""

    status: int = 400
    code: str = "bad_request"
    message: str = "This is not HTTP."


def head_too_large() -> Malformed:
    """All of it, however small its lines."""
    return Malformed(431, "head_too_large", "The head of the request is too large.")


def version_not_spoken() -> Malformed:
    """HTTP, but not one of ours."""
    message = "Only HTTP/1.1 and HTTP/1.0 are spoken here."
    return Malformed(505, "http_version_not_supported", message)


def why(error: Exception, data: bytes) -> Malformed:
    """What was wrong, by what aiohttp's parser says and by the bytes that it was given last."""
    if isinstance(error, LineTooLong):
        if error.args[1] == LONGEST_TARGET:
            message = f"The request target has more than {LONGEST_TARGET} bytes."
            return Malformed(414, "target_too_long", message)
        message = f"A header has more than {LONGEST_FIELD} bytes."
        return Malformed(431, "head_too_large", message)
    if isinstance(error, InvalidURLError):
        return Malformed(message="The request target is none, or must be percent-encoded.")
    said = str(error)
    if isinstance(error, BadHttpMethod) and _REQUEST_LINE.match(data):
        return Malformed(501, "method_not_known", "This method is not known here.")
    if "Too many headers" in said:
        message = f"The request has more than {MOST_HEADERS} headers."
        return Malformed(431, "head_too_large", message)
    if "HTTP version" in said or "Expected dot" in said or "PRI/Upgrade" in said:
        return version_not_spoken()
    if twice := _TWICE.search(said):
        if _is_trailer(twice[1], data):
            return Malformed(message=_TRAILERS)
        return Malformed(message=f"The header {twice[1]} came twice.")
    if "with Transfer-Encoding" in said and _is_trailer("Content-Length", data):
        return Malformed(message=_TRAILERS)
    return next((Malformed(message=told) for words, told in _SAID if words in said), Malformed())


def _is_trailer(name: str, data: bytes) -> bool:
    """Whether a header that is wrong stands behind the body, where it is none."""
    line = b"\n" + name.lower().encode() + b":"
    head, end, behind = data.lower().partition(b"\r\n\r\n")
    return bool(end) and line in behind and head.count(line) < 2


_TRAILERS = "The trailers behind the chunked body are malformed, or belong into the head."
_REQUEST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64} [!-~]+ HTTP/1\.[01]\r\n")
_TWICE = re.compile(r"Duplicate '?(Content-Length|[A-Za-z-]+(?=' header))")
_SAID = (
    ("HTTPS traffic", "This is HTTP here, not HTTPS: the URL has to begin with http://"),
    ("Missing 'Host'", "Exactly one Host is needed."),
    ("with Content-Length", "Content-Length and Transfer-Encoding exclude each other."),
    ("with Transfer-Encoding", "Content-Length and Transfer-Encoding exclude each other."),
    ("in Content-Length", "Content-Length is not a number."),
    ("invalid `Transfer-Encoding`", "The only transfer coding possible here is chunked."),
    ("CRLF", "Each line must end in CR LF."),
    ("chunk", "The body of the request is malformed."),
    ("header", "A header line of the request is malformed."),
)  # fmt: skip
