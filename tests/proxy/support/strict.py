"""HTTP/1.1 by RFC 9112 and nothing beside it: a second opinion on what bytes mean.

It shares no code with the proxy. It is strict where the standard lets a recipient be lenient, so
that whatever it takes has one meaning only; but for CR and LF in any order before a request, and
spaces behind a method, which nobody can take for something else.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

Pairs = list[tuple[str, str]]

_REQUEST = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) +([!-~\x80-\xff]+) +HTTP/1\.([01])\Z")
_STATUS = re.compile(rb"HTTP/1\.1 ([1-9][0-9]{2}) [\t -~\x80-\xff]*\Z")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\0-\x08\x0a-\x1f\x7f]*?)[ \t]*\Z")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t -~\x80-\xff]*)?\Z")


class NotHttp(Exception):
    """What came has no meaning, or more than one."""


class Partial(Exception):
    """What came is the beginning of a message."""


@dataclass(frozen=True)
class Message:
    """A request or an answer; `start` is what its first line says without the version."""

    start: str
    headers: Pairs
    body: bytes
    raw_head: bytes
    old: bool = False
    whole: bool = True

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for found, value in self.headers if found.lower() == name.lower()]


@dataclass(frozen=True)
class Reading:
    """All there is in a stream of bytes."""

    messages: list[Message]
    fault: str | None  # why it could not be read on
    rest: bytes  # what came behind the last whole message

    @property
    def begun(self) -> Message | None:
        """The message at the end of which only the head is there."""
        try:
            head, pairs, raw, _ = _head(self.rest, _REQUEST)
        except (NotHttp, Partial):
            return None
        return Message(_start(head), pairs, b"", raw, whole=False)


def requests(data: bytes) -> Reading:
    """The requests in what a client sent."""
    found: list[Message] = []
    while data:
        try:
            message, behind = _request(data)
        except Partial:
            return Reading(found, None, data)
        except NotHttp as error:
            return Reading(found, str(error), data)
        found.append(message)
        data = behind
    return Reading(found, None, b"")


def responses(data: bytes, methods: Sequence[str] = ()) -> Reading:
    """The answers in what a server sent to requests of these methods; interim ones left out."""
    found: list[Message] = []
    while data:
        method = methods[len(found)] if len(found) < len(methods) else "GET"
        try:
            message, behind = _response(data, method)
        except Partial:
            return Reading(found, None, data)
        except NotHttp as error:
            return Reading(found, str(error), data)
        if not message.start.startswith("1"):
            found.append(message)
        data = behind
    return Reading(found, None, b"")


def _request(data: bytes) -> tuple[Message, bytes]:
    data = data.lstrip(b"\r\n")  # RFC 9112 2.2: empty lines before a request are ignored
    head, pairs, raw, rest = _head(data, _REQUEST)
    old = head[3] == b"0"
    lengths, codings = _framing(pairs)
    if codings and (old or lengths):
        raise NotHttp("a coding beside a length, or in HTTP/1.0")
    if not old and len([name for name, _ in pairs if name.lower() == "host"]) != 1:
        raise NotHttp("not one Host")
    body, rest = _chunks(rest) if codings else _counted(rest, lengths)
    return Message(_start(head), pairs, body, raw, old), rest


def _response(data: bytes, method: str) -> tuple[Message, bytes]:
    head, pairs, raw, rest = _head(data, _STATUS)
    lengths, codings = _framing(pairs)
    status = int(head[1])
    if codings and lengths:
        raise NotHttp("a coding beside a length")
    if method == "HEAD" or status < 200 or status in (204, 304):
        body = b""
    elif codings:
        body, rest = _chunks(rest)
    elif lengths:
        body, rest = _counted(rest, lengths)
    else:
        body, rest = rest, b""
    return Message(str(status), pairs, body, raw), rest


def _head(data: bytes, first: re.Pattern[bytes]) -> tuple[re.Match[bytes], Pairs, bytes, bytes]:
    raw, end, rest = data.partition(b"\r\n\r\n")
    lines = raw.split(b"\r\n")
    start = first.match(lines[0])
    if start is None:
        raise NotHttp("no first line") if len(lines) > 1 else Partial
    if not end:
        raise Partial
    pairs = []
    for line in lines[1:]:
        field = _FIELD.match(line)
        if field is None:
            raise NotHttp("no header line")
        pairs.append((field[1].decode(), field[2].decode("latin-1")))
    return start, pairs, raw, rest


def _start(head: re.Match[bytes]) -> str:
    return f"{head[1].decode()} {head[2].decode('latin-1')}"


def _framing(pairs: Pairs) -> tuple[list[str], list[str]]:
    lengths = [value for name, value in pairs if name.lower() == "content-length"]
    codings = [value for name, value in pairs if name.lower() == "transfer-encoding"]
    if len(lengths) > 1 or not all(re.fullmatch("[0-9]{1,18}", value) for value in lengths):
        raise NotHttp("a length")
    if codings and [value.lower() for value in codings] != ["chunked"]:
        raise NotHttp("a coding")
    return lengths, codings


def _counted(data: bytes, lengths: list[str]) -> tuple[bytes, bytes]:
    size = int(lengths[0]) if lengths else 0
    if len(data) < size:
        raise Partial
    return data[:size], data[size:]


def _chunks(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        line, end, data = data.partition(b"\r\n")
        if not end:
            raise Partial
        size = _CHUNK.match(line)
        if size is None:
            raise NotHttp("no chunk size")
        count = int(size[1], 16)
        if count == 0:
            return body, _trailers(data)
        if len(data) < count + 2:
            raise Partial
        body += data[:count]
        if data[count : count + 2] != b"\r\n":
            raise NotHttp("no end of a chunk")
        data = data[count + 2 :]


def _trailers(data: bytes) -> bytes:
    while not data.startswith(b"\r\n"):
        line, end, data = data.partition(b"\r\n")
        if not end:
            raise Partial
        if not _FIELD.match(line):
            raise NotHttp("no trailer")
    return data[2:]
