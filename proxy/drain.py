"""Counts open requests, and refuses new ones when the program is about to end."""

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler

from proxy import errors


class Drain:
    """The requests that are open, and whether more may come."""

    def __init__(self) -> None:
        self.open = 0
        self._ending = False
        self._empty = asyncio.Event()

    async def finish(self, limit: float) -> int:
        """Takes no more requests, gives the open ones `limit` seconds; how many are left then."""
        self._ending = True
        if self.open:
            try:
                async with asyncio.timeout(limit):
                    await self._empty.wait()
            except TimeoutError:
                pass
        return self.open

    def enter(self) -> None:
        """One request more, or its refusal."""
        if self._ending:
            raise errors.shutting_down()
        self.open += 1

    def leave(self) -> None:
        """One request less."""
        self.open -= 1
        if self._ending and not self.open:
            self._empty.set()


DRAIN = web.AppKey("DRAIN", Drain)


@web.middleware
async def count_open(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Counts the request as open until its answer is complete."""
    drain = request.app[DRAIN]
    drain.enter()
    try:
        return await handler(request)
    finally:
        drain.leave()
