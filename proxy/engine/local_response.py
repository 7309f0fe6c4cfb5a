"""Answers made here by a handler of the policy: the body read, the handler run, its reply or file
sent."""

import asyncio
import logging
import traceback

from proxy.engine.interfaces import Answered, Service
from proxy.engine.sendfile import Sending
from proxy.exchange import File, LocalHandler, Policy, Reply, Request

_log = logging.getLogger("proxy.errors")


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
            return
        sending = Sending(file, self._engine.limits.send_seconds)
        if not transfers.enter(request, sending):
            message = "Too many files are on their way. Try again in a moment."
            transaction.reply(policy.error(503, "too_many_files", message, request))
        else:
            self._sending = sending
            try:
                how = await sending.run(transaction.begin_file(file))
            finally:
                transfers.leave(request)
            if how == "-":
                transaction.end("-", clean=False)
            else:
                transaction.abort(how)

    async def _fetch(self, target: str) -> Reply:
        return await self._engine.looks.at(target)


def internal_error(policy: Policy, request: Request, bug: Exception) -> Reply:
    """500, and a line in the log."""
    log_bug(bug)
    return policy.error(500, "internal_error", "Internal error.", request)


def log_bug(bug: Exception) -> None:
    """A line that holds the type and the place only: a message may quote the client."""
    place = traceback.extract_tb(bug.__traceback__)[-1]
    _log.error("bug: %s at %s:%s", type(bug).__name__, place.filename, place.lineno)
