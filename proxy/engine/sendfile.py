"""Files on their way to clients: by sendfile(2) in a thread of their own, or in pieces over TLS.

The thread works on a duplicate of the client's socket, to which nobody else writes meanwhile. So
the event loop has time for tokens, also while a disk is slow; and it goes on listening to the
client, which is how it hears at once that the client left.
"""

import asyncio
import errno
import os
import select
import signal
import threading
import time
from contextlib import suppress

from proxy.engine.flow_control import Wire
from proxy.exchange import File

# Of one sendfile, after which the thread looks whether to stop. What the last one sends of a file
# that is broken off is not in the log.
MOST_AT_ONCE = 2**20
PIECE = 256 * 1024  # over TLS; encrypting it holds up other streams for some 0.2 ms
LOOK_SECONDS = 0.1  # how soon the thread of a client that takes nothing hears that it is to stop
EMPTY_SECONDS = 0.01  # between two looks whether what was written before has left

DISK = frozenset({errno.EIO, errno.EINVAL, errno.ENXIO, errno.ESTALE})
"""Errors of sendfile that come from the file; the others come from the client's connection."""

GONE = "cancelled"
SHORTER = "broken off: the file became shorter"
UNREADABLE = "broken off: the file cannot be read"


class Sending:
    """One file, or a part of it."""

    def __init__(self, file: File, stall_seconds: float) -> None:
        self._content = file.content
        self._offset = file.offset
        self._length = file.length
        self._stall_seconds = stall_seconds
        self._stopped = False
        self._takes_more = asyncio.Event()
        self._takes_more.set()
        self.sent = 0
        """Bytes that the system took, or over TLS the transport."""

    async def run(self, wire: Wire) -> str:
        """Sends all of it; how that ended, as an Outcome has it."""
        try:
            if wire.secure:
                return await self._in_pieces(wire)
            # Of the head, or of an earlier answer: rare, and no transport tells when it is empty.
            while wire.transport.get_write_buffer_size():  # noqa: ASYNC110
                await asyncio.sleep(EMPTY_SECONDS)
            return await self._in_a_thread(wire.duplicate())
        except OSError:
            return UNREADABLE

    def stop(self) -> None:
        """Sends no more, soon."""
        self._stopped = True

    def pause(self) -> None:
        """The client takes no more for now. For TLS; the thread sees it by itself."""
        self._takes_more.clear()

    def resume(self) -> None:
        """The client takes more again."""
        self._takes_more.set()

    async def _in_pieces(self, wire: Wire) -> str:
        while self.sent < self._length:
            await self._takes_more.wait()
            size = min(PIECE, self._length - self.sent)
            data = await asyncio.to_thread(self._content.read, size, self._offset + self.sent)
            if not data:
                return SHORTER
            wire.write(data)
            self.sent += len(data)
        return "-"

    async def _in_a_thread(self, peer: int) -> str:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[str] = loop.create_future()

        def tell(how: str) -> None:
            if not ended.done():
                ended.set_result(how)

        def work() -> None:
            how = UNREADABLE
            try:
                how = self._pump(peer)
            finally:
                os.close(peer)
                with suppress(RuntimeError):  # the event loop has ended before
                    loop.call_soon_threadsafe(tell, how)

        try:
            # A daemon: the end of the program does not wait for a disk.
            threading.Thread(target=work, name="file", daemon=True).start()
        except RuntimeError:  # no more threads
            os.close(peer)
            raise
        return await ended

    def _pump(self, peer: int) -> str:
        """Runs in the thread, whose own are `peer` and, while it runs, `sent`."""
        # On macOS Python begins an interrupted sendfile anew, whatever it had sent by then.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        poll = select.poll()
        poll.register(peer, select.POLLOUT)
        progress = time.monotonic()
        while self.sent < self._length and not self._stopped:
            size = min(MOST_AT_ONCE, self._length - self.sent)
            try:
                count = os.sendfile(peer, self._content.number, self._offset + self.sent, size)
            except BlockingIOError:
                if poll.poll(LOOK_SECONDS * 1000):
                    continue
                if time.monotonic() - progress > self._stall_seconds:
                    return GONE
            except OSError as error:
                return UNREADABLE if error.errno in DISK else GONE
            else:
                if not count:
                    return SHORTER
                self.sent += count
                progress = time.monotonic()
        return GONE if self._stopped else "-"
