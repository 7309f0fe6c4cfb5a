"""Reads requests: aiohttp's C parser (llhttp) without aiohttp's server around it.

The only file that uses private interfaces of aiohttp, for which requirements.in pins 3.14.x and
tests/proxy/http/test_request_parser.py says what is relied on:

- `aiohttp.http_parser.HttpRequestParser`, its arguments, `feed_data` and `message_consumed`;
- with `max_msg_queue_size=1` it stops behind each message and keeps what follows for later;
- it wants a "protocol" only to pause and resume it, and pauses only beyond `limit`;
- a payload's `read_nowait` returns what is there, `is_eof` says whether more can come.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from multidict import CIMultiDictProxy

from proxy.http import malformed_head
from proxy.http.malformed_head import Malformed

# Never reached: what a read brought is taken from the payload before the next read.
_NO_LIMIT = 2**30
_OLD, _NEW = (1, 0), (1, 1)


class Head(Protocol):
    """The head of a request, as aiohttp's RawRequestMessage has it."""

    method: str
    path: str
    version: tuple[int, int]
    headers: CIMultiDictProxy[str]
    raw_headers: Sequence[tuple[bytes, bytes]]
    should_close: bool
    upgrade: bool
    chunked: bool


class _Flow(BaseProtocol):
    """What the parser pauses and resumes: nothing, for flow control is the connection's.

    With the connection itself here, taking a body's bytes would call its data_received again.
    """

    def __init__(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self, resume_parser: bool = True) -> None:
        pass


_FLOW = _Flow()


class RequestParser:
    """The requests of one connection, one at a time."""

    __slots__ = (
        "_came", "_offers", "_parser", "_payload", "_start", "begun", "complete", "head_bytes",
        "limit", "rest",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, head_bytes: int) -> None:
        self._parser: HttpRequestParser = HttpRequestParser(
            _FLOW,
            loop,
            _NO_LIMIT,
            max_line_size=malformed_head.LONGEST_TARGET,
            max_field_size=malformed_head.LONGEST_FIELD,
            max_headers=malformed_head.MOST_HEADERS,
            auto_decompress=False,
            max_msg_queue_size=1,
        )
        self._payload: StreamReader = EMPTY_PAYLOAD
        self.limit = head_bytes
        """How large a head may be, at once or in pieces."""
        self._came = b""
        self._start = b""  # of a head
        self._offers = False  # to speak another protocol, or asks for a tunnel
        self.head_bytes = 0
        """How much of a head has come that is not complete, as far as it came by itself."""
        self.begun = False
        """Whether any of a head may have come."""
        self.complete = True
        """Whether the message has been read to its end."""
        self.rest = False
        """Whether bytes behind it may be waiting."""

    def head(self, data: bytes) -> Head | None:
        """Takes bytes between messages; the head, if it is complete with them.

        What came of its body is waiting in `body`. What came behind it waits in the parser, to be
        had by the next call, which may have no bytes of its own.
        """
        if not self.head_bytes:
            self._start = data
        messages = self._feed(data)
        if not messages:
            self.head_bytes += len(data)
            self.begun = self.begun or bool(data) or self.rest
            self.rest = False
            if self.head_bytes > self.limit:
                raise malformed_head.head_too_large()
            return None
        came, self.head_bytes = self.head_bytes + len(data), 0
        if came > self.limit and _size(messages[0][0]) > self.limit:
            raise malformed_head.head_too_large()
        self.complete = self.begun = False
        self._came = data
        self._parser.message_consumed()
        head: Head
        head, self._payload = messages[0]
        self._offers = head.upgrade
        # llhttp takes 0.9 and 2.0 too, an empty coding for none, and one in HTTP/1.0 for one.
        if head.version != _NEW and head.version != _OLD:
            raise malformed_head.version_not_spoken()
        if "Transfer-Encoding" in head.headers and not (head.chunked and head.version == _NEW):
            raise Malformed(message="The only transfer coding is chunked, and in HTTP/1.1.")
        return head

    @property
    def asks_for_head(self) -> bool:
        """Whether the head that came last, or has begun to, is of a HEAD request."""
        return self._start.startswith(b"HEAD ")

    def body(self, data: bytes = b"") -> bytes:
        """Takes bytes within a message, which it is from `head` on; what they held of its body,
        without framing."""
        if data:
            self._feed(data)
        content = self._payload.read_nowait()
        self.complete = self._payload.is_eof()
        # Mostly a request is all that came: not to be asked again for what is behind it.
        came, self._came = self._came, b""
        self.rest = bool(data) or came.find(b"\r\n\r\n") + 4 + len(content) != len(came)
        if self._offers and self.complete:
            # Nothing is switched to. The parser waits to be told; what came behind is lost.
            self._offers = False
            self._feed(b"")
            self._parser.set_upgraded(False)
        return content

    def _feed(self, data: bytes) -> Sequence[tuple[Any, StreamReader]]:
        try:
            messages: Sequence[tuple[Any, StreamReader]]
            messages = self._parser.feed_data(data)[0]
        except (HttpProcessingError, ValueError) as error:  # ValueError: of yarl, about a target
            raise malformed_head.why(error, data) from None
        return messages


def _size(head: Any) -> int:
    """Of a head, in bytes; what is before the target and behind it is not counted."""
    lines = sum(len(name) + len(value) + 4 for name, value in head.raw_headers)
    return lines + len(head.path)
