"""Answers made here by a handler of the policy: the body read, the handler run, its reply or file
sent."""

import asyncio
import logging
import traceback

from proxy.answer import AnswerHead
from proxy.exchange import File, LocalHandler, Policy, Reply, Request
from proxy.parts import Answered, Service
from proxy.pool import Pool
from proxy.sendfile import Sending
from proxy.upstream import Connection

_log = logging.getLogger("proxy.errors")

LONGEST_FETCHED = 8 * 2**20
FETCH_SECONDS = 10.0  # llama-swap answers these by itself, without waiting for a model


class LocalAnswer:
    """A request that is answered by a handler."""

    def __init__(self, transaction: Answered, engine: Service, handler: LocalHandler) -> None:
        self._transaction = transaction
        self._engine = engine
        self._handler = handler
        self._body = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._sending: Sending | None = None

    def body(self, data: bytes, complete: bool) -> None:
        """Takes a piece of the body; the handler runs when all of it is there."""
        transaction = self._transaction
        self._body += data
        if len(self._body) > self._engine.limits.local_body_bytes:
            transaction.close = True
            request, policy = transaction.request, self._engine.policy
            transaction.reply(
                policy.error(413, "body_too_large", "The body is too large.", request)
            )
        elif complete and self._task is None:
            self._task = asyncio.create_task(self._run())

    def pause_answer(self) -> None:
        """The client takes no more for now."""
        if self._sending is not None:
            self._sending.pause()

    def resume_answer(self) -> None:
        """The client takes more again."""
        if self._sending is not None:
            self._sending.resume()

    def end(self) -> int:
        """The client is gone, or was answered. How much of a file was sent."""
        task, self._task = self._task, None  # no circle of references that would keep a file open
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        if self._sending is None:
            return 0
        self._sending.stop()
        return self._sending.sent

    async def _run(self) -> None:
        transaction = self._transaction
        try:
            reply = await self._handler(transaction.request, bytes(self._body), self._fetch)
        except Exception as bug:
            reply = internal_error(self._engine.policy, transaction.request, bug)
        if isinstance(reply, File):
            await self._send(reply)
        else:
            transaction.reply(reply)

    async def _send(self, file: File) -> None:
        transaction, transfers = self._transaction, self._engine.transfers
        request, policy = transaction.request, self._engine.policy
        if request.method == "HEAD":
            transaction.begin_file(file)
            transaction.end("-", clean=False)
        elif not transfers.enter(request):
            message = "Too many files are on their way. Try again in a moment."
            transaction.reply(policy.error(503, "too_many_files", message, request))
        else:
            self._sending = sending = Sending(file, self._engine.limits.send_seconds)
            try:
                how = await sending.run(transaction.begin_file(file))
            finally:
                transfers.leave(request)
            if how == "-":
                transaction.end("-", clean=False)
            else:
                transaction.abort(how)

    async def _fetch(self, target: str) -> Reply:
        return await Fetched(self._engine.pool, target).run()


def internal_error(policy: Policy, request: Request, bug: Exception) -> Reply:
    """500, and a line in the log."""
    log_bug(bug)
    return policy.error(500, "internal_error", "Internal error.", request)


def log_bug(bug: Exception) -> None:
    """A line that holds the type and the place only: a message may quote the client."""
    place = traceback.extract_tb(bug.__traceback__)[-1]
    _log.error("bug: %s at %s:%s", type(bug).__name__, place.filename, place.lineno)


class Fetched:
    """A GET of our own: an `upstream.Owner` that keeps the answer."""

    def __init__(self, pool: Pool, target: str) -> None:
        self._pool = pool
        self._target = target
        self._up: Connection | None = None
        self._head: AnswerHead | None = None
        self._body = bytearray()
        self._reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    async def run(self) -> Reply:
        """The answer; a reply with status 502 or 503 if there is none."""
        if up := self._pool.acquire(self):
            self.connected(up)
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                return await self._reply
        except TimeoutError:
            return Reply(status=502, note="no answer")
        finally:
            self._pool.forget(self)
            if self._up is not None:
                self._up.release(clean=False)

    def connected(self, connection: Connection) -> None:
        self._up = connection
        data = b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (self._target.encode(), self._pool.host)
        connection.send(self, data, to_head=False)

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
