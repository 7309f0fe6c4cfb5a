"""Bytes of an answer on their way to a file, and how that goes wrong."""

import asyncio
import os
import re
import socket
import time
from collections.abc import Callable
from typing import NamedTuple

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorError,
    ClientError,
    ClientPayloadError,
    ClientResponse,
    ClientSession,
)
from yarl import URL

from fetcher import rate_limit

READ_BUFFER = 256 << 10
"""Bytes of an answer that wait in memory before a connection pauses; more is slower."""

CONNECT_SECONDS = 30.0


class Interrupted(Exception):
    """A piece did not come whole, and may another time; `after` is how long the server wants to be
    left alone, in seconds."""

    def __init__(self, why: str, *, status: int = 0, after: float = 0.0) -> None:
        super().__init__(why)
        self.status, self.after = status, after


class Span:
    """The bytes [start, end) of a file that one connection fetches; start moves on."""

    def __init__(self, start: int, end: int, write: Callable[[int, bytes], None]) -> None:
        self.start, self.end, self._write = start, end, write

    @property
    def header(self) -> str:
        return f"bytes={self.start}-{self.end - 1}"

    def take(self, data: bytes) -> None:
        """Writes what comes next, and nothing beyond the end."""
        if len(data) > self.end - self.start:
            data = data[: self.end - self.start]
        self._write(self.start, data)
        self.start += len(data)


class Least(NamedTuple):
    """What a connection is to give at least: bytes a second, over so many seconds."""

    rate: float
    window: float


class TooSlow(Interrupted):
    """Bytes come, but hardly."""


async def answer(
    session: ClientSession, url: URL | str, headers: dict[str, str], patience: float
) -> ClientResponse:
    """The head of an answer, which is there in time or not at all; a redirect is an answer, too.
    Raises Interrupted for an address that nothing can be asked of, as with a host named `.`."""
    try:
        async with asyncio.timeout(patience):
            return await session.get(url, headers=headers, allow_redirects=False)
    except ValueError:
        raise Interrupted("cannot connect: no address that can be asked") from None


async def read(response: ClientResponse, span: Span, least: Least) -> None:
    """Reads an answer's body to the end of the span. Raises Interrupted when there is no more, or
    too little; silence is what the session's own patience is for."""
    content = response.content
    since, had = time.monotonic(), span.start
    while span.start < span.end:
        # As it came, where read() would join what has come.
        data, _ = await content.readchunk()
        if data:
            span.take(data)
        elif content.at_eof():
            raise Interrupted("the connection ended early")
        if (now := time.monotonic()) - since >= least.window:
            if span.start - had < least.rate * (now - since):
                raise TooSlow(f"less than {least.rate / 1024:g} KiB/s")
            since, had = now, span.start


def holds(response: ClientResponse, span: Span, size: int) -> bool:
    """Whether a 206 has what was asked for of a file; what else a server sends would be written
    as that."""
    told = response.headers.getall("Content-Range", [])
    wanted = rf"bytes {span.start}-{span.end - 1}/({size}|\*)"
    return len(told) == 1 and re.fullmatch(wanted, told[0]) is not None


def seconds(response: ClientResponse, most: float) -> float:
    """How long the server wants to be left alone, as far as we do what it says."""
    return min(rate_limit.pause(response.headers.items()), most)


def interrupted(error: Exception, stall: float) -> Interrupted:
    """An error of the network in a person's words; its own may name an address with a signature."""
    match error:
        case Interrupted():
            return error
        case TimeoutError():
            return Interrupted(f"no byte in {stall:g} s")
        case ClientConnectorCertificateError():
            return Interrupted("cannot connect: its certificate is not trusted")
        case ClientConnectorError(os_error=socket.gaierror()):
            return Interrupted("cannot connect: no such host")
        case ClientConnectorError(os_error=OSError(errno=int(number))):
            # Its own text has the address instead of the reason.
            return Interrupted(f"cannot connect: {os.strerror(number)}")
        case ClientPayloadError() | ConnectionError():
            return Interrupted("the connection ended early")
    return Interrupted(type(error).__name__)


NETWORK = (ClientError, TimeoutError, OSError, Interrupted)
"""What may go wrong on the way."""
