"""What llama-swap is asked for answers that are made here: health, its list of models, a token.

Those who ask together share one look, so that a crowd takes no connections from llama-swap, and
waits no longer for one that hangs.
"""

import asyncio
import time

from proxy.engine.upstream_connection import Connection
from proxy.engine.upstream_pool import Pool
from proxy.exchange import Reply
from proxy.http.response_head import AnswerHead

LONGEST_FETCHED = 8 * 2**20
FETCH_SECONDS = 5.0  # llama-swap answers these by itself, without waiting for a model
SHARED_SECONDS = 0.3
"""An answer is at most so old; requests that come within this time share a look."""


class UpstreamQueries:
    """By target: the last one, or the one that is under way."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._last: dict[str, tuple[float, asyncio.Future[Reply]]] = {}

    async def at(self, target: str) -> Reply:
        """The answer; a reply with status 502 or 503 if there is none."""
        now = time.monotonic()
        began, look = self._last.get(target, (0.0, None))
        if look is None or (look.done() and now - began > SHARED_SECONDS):
            look = asyncio.ensure_future(self._look(target))
            self._last[target] = now, look
        return await asyncio.shield(look)  # one who leaves takes it from nobody else

    async def _look(self, target: str) -> Reply:
        try:
            return await self.ask("GET", target, b"", FETCH_SECONDS)
        except TimeoutError:
            return Reply(status=502, note="no answer")

    async def ask(self, method: str, target: str, body: bytes, seconds: float) -> Reply:
        """The answer to a request of our own, which nobody shares; TimeoutError if it is not whole
        in time, a reply with status 502 or 503 if there is none."""
        return await Fetched(self._pool, method, target, body).run(seconds)


class Fetched:
    """A request of our own: an `upstream_connection.Owner` that keeps the answer."""

    def __init__(self, pool: Pool, method: str, target: str, body: bytes) -> None:
        self._pool = pool
        self._method = method
        self._target = target
        self._sent = body
        self._up: Connection | None = None
        self._head: AnswerHead | None = None
        self._body = bytearray()
        self._reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    async def run(self, seconds: float) -> Reply:
        """As `UpstreamQueries.ask`."""
        if up := self._pool.acquire(self):
            self.connected(up)
        try:
            async with asyncio.timeout(seconds):
                return await self._reply
        finally:
            self._pool.forget(self)
            if self._up is not None:
                self._up.release(clean=False)

    def connected(self, connection: Connection) -> None:
        self._up = connection
        pool = self._pool
        line = f"{self._method} {self._target} HTTP/1.1\r\n".encode()
        data = b"%bHost: %b\r\n%b" % (line, pool.host, pool.key.line)
        if sent := self._sent:
            data += b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(sent)
        connection.send(self, data + b"\r\n" + sent, to_head=False)

    def not_connected(self, why: str) -> None:
        self._done(Reply(status=503, note=why))

    def answer_head(self, head: AnswerHead, *, more: bool) -> None:
        self._head = head

    def answer_data(self, raw: bytes, content: bytes, done: bool) -> None:
        self._body += content
        if len(self._body) > LONGEST_FETCHED:
            self._done(Reply(status=502, note="too long"))
        elif done and self._head is not None and self._up is not None:
            up, self._up = self._up, None
            up.release(clean=True)
            self._done(Reply(status=self._head.status, body=bytes(self._body)))

    def answer_failed(self, why: str, *, begun: bool) -> None:
        self._up = None
        self._done(Reply(status=502, note=why))

    def pause_body(self) -> None:
        pass

    def resume_body(self) -> None:
        pass

    def _done(self, reply: Reply) -> None:
        if not self._reply.done():
            self._reply.set_result(reply)
