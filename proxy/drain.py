"""Knows the open requests, and refuses new ones when the program is about to end."""

import asyncio
from contextlib import suppress

from aiohttp import web
from aiohttp.typedefs import Handler

from proxy import errors


class Drain:
    """The requests that are open, and whether more may come."""

    def __init__(self) -> None:
        self._open: list[web.Request] = []
        self._ending = False
        self._empty = asyncio.Event()

    async def finish(self, limit: float) -> list[web.Request]:
        """Takes no more requests, gives the open ones `limit` seconds; those still open then."""
        self._ending = True
        if self._open:
            with suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await self._empty.wait()
        return list(self._open)

    def enter(self, request: web.Request) -> None:
        """One request more, or its refusal."""
        if self._ending:
            raise errors.shutting_down()
        self._open.append(request)

    def leave(self, request: web.Request) -> None:
        """One request less."""
        self._open.remove(request)
        if self._ending and not self._open:
            self._empty.set()


DRAIN = web.AppKey("DRAIN", Drain)


@web.middleware
async def keep_count(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Holds the request as open until its answer is complete."""
    drain = request.app[DRAIN]
    drain.enter(request)
    try:
        return await handler(request)
    finally:
        drain.leave(request)
