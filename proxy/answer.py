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

from proxy.exchange import Reply
from proxy.headers import HOP_BY_HOP, is_utf8

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
    headers: list[tuple[bytes, bytes]]
    lines: list[bytes]
    """The header lines that pass."""
    framing: Framing
    length: int
    reusable: bool
    """Whether the connection may carry another request after this answer."""
    content_type: bytes
    """In lower case."""
    dated: bool

    @property
    def event_stream(self) -> bool:
        """Whether it comes as it is made."""
        return self.content_type.startswith(b"text/event-stream")


@dataclass(slots=True, frozen=True)
class _Line:
    name: bytes  # in lower case
    pair: tuple[bytes, bytes]
    passes: bool


_lines: dict[bytes, _Line] = {}


def parse(head: bytes, *, to_head: bool) -> AnswerHead:
    """Reads a head, without its empty line; `to_head` if it answers a HEAD request."""
    first, *rest = head.split(b"\r\n")
    status_line = _STATUS_LINE.match(first)
    if status_line is None:
        raise BadAnswer("no status line")
    status = int(status_line[2])
    found = AnswerHead(
        status, status_line[3] or b"", [], [], Framing.CONNECTION, 0, True, b"", False
    )
    lengths, codings, named = list[bytes](), list[bytes](), set[bytes]()
    for text in rest:
        line = _lines.get(text) or _read_line(text)
        found.headers.append(line.pair)
        name = line.name
        if name == b"content-length":
            lengths.append(line.pair[1])
        elif name == b"transfer-encoding":
            codings.append(line.pair[1])
        elif name == b"connection":
            named.update(part.strip().lower() for part in line.pair[1].split(b","))
        elif line.passes:
            found.lines.append(text)
            if name == b"content-type":
                found.content_type = line.pair[1].lower()
            elif name == b"date":
                found.dated = True
    if named:
        found.lines = [text for text in found.lines if _lines_name(text) not in named]
    _find_framing(found, lengths, codings, old=status_line[1] == b"0", to_head=to_head)
    found.reusable = (
        found.framing is not Framing.CONNECTION
        and b"close" not in named
        and status_line[1] == b"1"
        and not (lengths and codings)
        and not (codings and found.status == 204)  # its chunks may come, and nobody reads them
    )
    return found


def _find_framing(
    found: AnswerHead, lengths: list[bytes], codings: list[bytes], *, old: bool, to_head: bool
) -> None:
    """RFC 9112 6.3, and a refusal where it leaves a choice."""
    if codings and (old or [coding.lower() for coding in codings] != [b"chunked"]):
        raise BadAnswer("a transfer coding")
    if len(lengths) > 1 or (lengths and not (lengths[0].isdigit() and len(lengths[0]) < 19)):
        raise BadAnswer("a length")
    if lengths and not codings and found.status >= 200 and found.status != 204:
        found.lines.append(b"Content-Length: " + lengths[0])
    if to_head or found.status < 200 or found.status in (204, 304):
        found.framing = Framing.NONE
    elif codings:
        found.framing = Framing.CHUNKED
    elif lengths:
        found.length = int(lengths[0])
        found.framing = Framing.LENGTH if found.length else Framing.NONE


def _read_line(text: bytes) -> _Line:
    match = _HEADER_LINE.match(text)
    if match is None:
        raise BadAnswer("no header line")
    name = match[1].lower()
    passes = not (name in _DROPPED or name.startswith(_CORS)) and is_utf8(match[2])
    line = _Line(name, (match[1], match[2]), passes)
    if len(text) <= 200:
        if len(_lines) >= _REMEMBERED_LINES:
            _lines.clear()
        _lines[text] = line
    return line


def _lines_name(text: bytes) -> bytes:
    return text.partition(b":")[0].lower()


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
    try:
        reason = HTTPStatus(reply.status).phrase
    except ValueError:
        reason = ""
    lines = [f"HTTP/1.1 {reply.status} {reason}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    lines.append(f"X-Request-Id: {request_id}")
    if reply.status != HTTPStatus.NO_CONTENT:
        lines.append(f"Content-Length: {len(reply.body)}")
    if close:
        lines.append("Connection: close")
    head = "\r\n".join(lines).encode() + b"\r\n" + _date() + b"\r\n\r\n"
    return head if to_head else head + reply.body


_dates: tuple[int, bytes] = (0, b"")


def _date() -> bytes:
    global _dates
    now = int(time.time())
    if _dates[0] != now:
        _dates = now, b"Date: " + formatdate(now, usegmt=True).encode()
    return _dates[1]
