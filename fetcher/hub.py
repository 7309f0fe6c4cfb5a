"""One range of a file of the Hub: redirects, the token, what its answers mean."""

import asyncio
import time

from aiohttp import ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from yarl import URL

from fetcher.errors import Failure
from fetcher.receiving import (
    CONNECT_SECONDS,
    NETWORK,
    READ_BUFFER,
    Interrupted,
    Least,
    Span,
    answer,
    holds,
    read,
    seconds,
)
from fetcher.slowness import SAMPLE_SECONDS, sample_size
from fetcher.spec import File

REDIRECTS = 10
LONGEST_PAUSE = 600.0
"""Seconds that an answer may ask for: the Hub counts requests in windows of five minutes."""

LEAST = 1 << 10
"""Bytes a second of a connection, less than the worst line gives: below, another one is tried."""


class NoRanges(Exception):
    """The server sends the whole file, whatever part of it was asked for."""


class NotPlainly(Exception):
    """The network before the store does not give a file of this size over plain HTTP."""


class Hub:
    """The Hub over connections of our own; HTTPS_PROXY and its like are followed."""

    def __init__(self, token: str | None, stall: float) -> None:
        self._token, self._stall = token, stall
        self._cool_until = 0.0
        self._session = ClientSession(
            connector=TCPConnector(limit=0),
            timeout=ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=stall),
            headers={"Accept-Encoding": "identity", "User-Agent": "llama-herd"},
            auto_decompress=False,
            cookie_jar=DummyCookieJar(),
            read_bufsize=READ_BUFFER,
            trust_env=True,
        )

    async def __aenter__(self) -> "Hub":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._session.close()

    @property
    def cool(self) -> float:
        """Seconds for which the Hub wants to be left alone, by all connections."""
        return max(0.0, self._cool_until - time.monotonic())

    def cool_down(self, pause: float) -> bool:
        """Leave it alone for so many seconds; whether that was not known before."""
        news = not self.cool
        self._cool_until = max(self._cool_until, time.monotonic() + pause)
        return news

    @property
    def limit(self) -> str:
        """Whose requests it counts, and what helps, in a person's words."""
        if self._token:
            return "as often as it lets the account of HF_TOKEN ask"
        return "as often as it lets strangers ask: with HF_TOKEN on the workstation it lets more"

    async def fetch(self, file: File, span: Span) -> None:
        """Fetches a span. Raises Interrupted and its like, NoRanges, NotPlainly,
        or Failure for good."""
        response = await self._answer(file, span)
        try:
            self._check(response, file, span)
            await read(response, span, Least(LEAST, self._stall))
        finally:
            # After the last byte the connection is free already; else nobody wants the rest.
            response.close() if span.start < span.end else response.release()

    async def sample(self, file: File) -> float | None:
        """How fast it would give this file, in bytes a second; None if it gives nothing now. What
        comes is thrown away."""
        span = Span(0, sample_size(file.size), lambda *_: None)
        began = time.monotonic()
        try:
            async with asyncio.timeout(SAMPLE_SECONDS):
                await self.fetch(file, span)
        except Interrupted as error:
            if error.status == 429 and error.after:
                self.cool_down(error.after)
        except (*NETWORK, NoRanges, NotPlainly, Failure):
            pass  # what has come until then tells as much
        return span.start / (time.monotonic() - began) if span.start else None

    async def _answer(self, file: File, span: Span) -> ClientResponse:
        """Follows redirects by hand: the token is for the Hub alone, not where it leads to."""
        home = url = URL(file.url, encoded=True)
        for _ in range(REDIRECTS):
            headers = {"Range": span.header}
            if self._token and url.origin() == home.origin():
                headers["Authorization"] = f"Bearer {self._token}"
            response = await answer(self._session, url, headers, self._stall)
            location = response.headers.get("Location")
            if response.status not in (301, 302, 303, 307, 308) or not location:
                return response
            response.release()
            url = _target(url, location)
        raise Interrupted(f"more than {REDIRECTS} redirects")

    def _check(self, response: ClientResponse, file: File, span: Span) -> None:
        status = response.status
        if status == 206 and holds(response, span, file.size):
            return
        if status == 200:
            if (span.start, span.end) == (0, file.size):
                return
            raise NoRanges
        # What the Hub leads to is a store, by an address that holds for a while: it knows no
        # tokens, and what it refuses it gives by a fresh one.
        stored = response.url.origin() != URL(file.url, encoded=True).origin()
        match status:
            case 400:
                raise NotPlainly
            case 401 | 403 | 404 | 410 if stored:
                raise Interrupted(f"HTTP {status}, its address has expired", status=status)
            case 401 | 403:
                wants = "it wants a token with access (HF_TOKEN on the workstation)"
                raise Failure(f"{file.path}: the Hub answers {status}: {wants}")
            case 404 | 410:
                raise Failure(f"{file.path}: the Hub answers {status} for {file.url}")
            case 416:
                raise Failure(f"{file.path}: the Hub has less than {file.size} bytes at {file.url}")
            case 206:
                raise Interrupted("another part came than was asked for")
        after = seconds(response, LONGEST_PAUSE)
        raise Interrupted(f"HTTP {status}", status=status, after=after)


def _target(url: URL, location: str) -> URL:
    """Where a redirect leads. Raises Interrupted if that is no plain address."""
    try:
        target = url.join(URL(location, encoded=True))
        if target.scheme in ("http", "https") and target.host and target.port:
            if target.user is None and target.password is None:
                return target
            raise Interrupted("a redirect to an address with a user in it")
    except ValueError:
        pass
    raise Interrupted("a redirect to no address of http")
