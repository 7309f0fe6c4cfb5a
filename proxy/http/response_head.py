"""Heads of answers: llama-swap's read strictly and written for the client, and answers of our own.

Pure. Nearly all header lines are the same from answer to answer, so what one means is looked up by
its bytes, and worked out only the first time.
"""

import re
import time
from dataclasses import dataclass
from email.utils import formatdate
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

from proxy.exchange import File, Reply
from proxy.http.request_headers import HOP_BY_HOP, is_utf8

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\Z")
_HEADER_LINE = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*"
    rb"((?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)[ \t]*\Z"
)
# Which software this is, and an id that is not the one in our log, are nobody's business.
_DROPPED = HOP_BY_HOP | {b"server", b"x-request-id"}
# llama-swap lets every page of the web in; which ones may, only our policy says.
_CORS = b"access-control-"
_REMEMBERED_LINES = 1024


class BadAnswer(ValueError):
    """An answer that is not HTTP, or that two programs might read differently."""


class Framing(Enum):
    """How the end of an answer's body is known."""

    NONE = auto()
    LENGTH = auto()
    CHUNKED = auto()
    CONNECTION = auto()


@dataclass(slots=True)
class AnswerHead:
    """What llama-swap said before the body."""

    status: int
    reason: bytes
    lines: list[bytes]
    """The header lines that pass."""
    content_type: bytes = b""
    """In lower case."""
    framing: Framing = Framing.CONNECTION
    length: int = 0
    reusable: bool = False
    """Whether the connection may carry another request after this answer."""
    dated: bool = False

    def says(self, name: bytes) -> bool:
        """Whether a header of this name, in lower case, passes."""
        return any(line.partition(b":")[0].lower() == name for line in self.lines)

    @property
    def event_stream(self) -> bool:
        """Whether it comes as it is made."""
        return self.content_type.startswith(b"text/event-stream")


# What a header line is to us: it passes, is dropped, or one of those that say something here.
PASSES, DROPPED, TYPE, DATE, LENGTH, CODING, CONNECTION = range(7)
_MEANS = {
    b"content-type": TYPE,
    b"date": DATE,
    b"content-length": LENGTH,
    b"transfer-encoding": CODING,
    b"connection": CONNECTION,
}
_NONE = frozenset[bytes]()
_lines: dict[bytes, tuple[int, bytes]] = {}  # with the value in lower case
_status_lines: dict[bytes, tuple[int, bytes, bool]] = {}  # status, reason, whether HTTP/1.0


def parse(head: bytes, *, to_head: bool) -> AnswerHead:
    """Reads a head, without its empty line; `to_head` if it answers a HEAD request."""
    first, *rest = head.split(b"\r\n")
    status, reason, old = _status_lines.get(first) or _read_status_line(first)
    lines: list[bytes] = []
    found = AnswerHead(status, reason, lines)
    length = coding = b""
    named = _NONE
    for text in rest:
        means, value = _lines.get(text) or _read_line(text)
        if means is PASSES:
            lines.append(text)
        elif means is LENGTH:
            if length or not (value.isdigit() and len(value) < 19):
                raise BadAnswer("a length")
            length = value
        elif means is TYPE:
            lines.append(text)
            found.content_type = value
        elif means is DATE:
            lines.append(text)
            found.dated = True
        elif means is CODING:
            if coding or old or value != b"chunked":
                raise BadAnswer("a transfer coding")
            coding = value
        elif means is CONNECTION:
            named |= {part.strip() for part in value.split(b",")}
    if named:
        found.lines = [text for text in lines if text.partition(b":")[0].lower() not in named]
    # RFC 9112 6.3, and no second use of a connection where that leaves a choice.
    if length and not coding and status >= 200 and status != 204:
        found.lines.append(b"Content-Length: " + length)
    if to_head or status < 200 or status in (204, 304):
        found.framing = Framing.NONE
    elif coding:
        found.framing = Framing.CHUNKED
    elif length:
        found.length = int(length)
        found.framing = Framing.LENGTH if found.length else Framing.NONE
    else:
        return found
    # The chunks of a 204 may come, and nobody reads them.
    found.reusable = not (old or b"close" in named or (coding and (length or status == 204)))
    return found


def _read_status_line(text: bytes) -> tuple[int, bytes, bool]:
    match = _STATUS_LINE.match(text)
    if match is None:
        raise BadAnswer("no status line")
    read = int(match[2]), match[3] or b"", match[1] == b"0"
    _remember(_status_lines, text, read)
    return read


def _read_line(text: bytes) -> tuple[int, bytes]:
    match = _HEADER_LINE.match(text)
    if match is None:
        raise BadAnswer("no header line")
    name = match[1].lower()
    means = _MEANS.get(name, PASSES)
    # What frames the body is read even where it does not pass.
    if means in (PASSES, TYPE, DATE) and not _passes(name, match[2]):
        means = DROPPED
    read = means, match[2].lower()
    _remember(_lines, text, read)
    return read


def _passes(name: bytes, value: bytes) -> bool:
    return not (name in _DROPPED or name.startswith(_CORS)) and is_utf8(value)


def _remember(known: dict[bytes, Any], text: bytes, read: object) -> None:
    if len(text) <= 200:
        if len(known) >= _REMEMBERED_LINES:
            known.clear()
        known[text] = read


def for_client(
    found: AnswerHead, request_id: str, added: bytes, *, chunked: bool, close: bool
) -> bytes:
    """llama-swap's head as the client gets it; `added` are whole lines."""
    lines = [b"HTTP/1.1 %d %b" % (found.status, found.reason), *found.lines]
    if not found.dated:
        lines.append(_date())
    lines.append(b"X-Request-Id: " + request_id.encode())
    if chunked:
        lines.append(b"Transfer-Encoding: chunked")
    if close:
        lines.append(b"Connection: close")
    return b"\r\n".join(lines) + b"\r\n" + added + b"\r\n"


def of_reply(reply: Reply, request_id: str, *, to_head: bool, close: bool) -> bytes:
    """An answer of our own, head and body."""
    head = head_of(reply, len(reply.body), request_id, close=close)
    return head if to_head else head + reply.body


def head_of(reply: Reply | File, length: int, request_id: str, *, close: bool) -> bytes:
    """The head of an answer of our own, with a body of this length."""
    try:
        reason = HTTPStatus(reply.status).phrase
    except ValueError:
        reason = ""
    lines = [f"HTTP/1.1 {reply.status} {reason}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    lines.append(f"X-Request-Id: {request_id}")
    if reply.status != HTTPStatus.NO_CONTENT:
        lines.append(f"Content-Length: {length}")
    if close:
        lines.append("Connection: close")
    return "\r\n".join(lines).encode() + b"\r\n" + _date() + b"\r\n\r\n"


_dates: tuple[int, bytes] = (0, b"")


def _date() -> bytes:
    global _dates
    now = int(time.time())
    if _dates[0] != now:
        _dates = now, b"Date: " + formatdate(now, usegmt=True).encode()
    return _dates[1]
