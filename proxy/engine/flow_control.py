"""The wire to a client, with or without TLS, or to llama-swap: its flow, and how it ends."""

import asyncio
import os
import select
import socket
import struct
from collections.abc import Callable

RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 seconds
GONE = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
LINGER_SECONDS = 5.0
FLOW, TURN = 1, 2
"""Why nothing is read: for who takes it is slower, or for what came is still to be looked at."""


class Wire:
    """One transport."""

    __slots__ = ("_paused", "_silent_since", "_stuck", "transport", "write")

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.write: Callable[[bytes], None] = transport.write  # for each token, without a detour
        self._paused = 0  # each reason's bit
        self._stuck = (0, 0.0)  # bytes that wait to be sent, and since when it is so many
        self._silent_since = 0.0  # closing, with nothing left to send

    @property
    def paused(self) -> bool:
        """Whether nothing is read."""
        return self._paused != 0

    @property
    def secure(self) -> bool:
        """Whether there is TLS on it."""
        return self.transport.get_extra_info("sslcontext") is not None

    @property
    def waiting(self) -> int:
        """Bytes that were not taken so far."""
        return self.transport.get_write_buffer_size()

    def duplicate(self) -> int:
        """Another descriptor of the socket, to be closed by who asked for it. OSError if there
        are too many."""
        return os.dup(self.transport.get_extra_info("socket").fileno())

    def pause(self, why: int = FLOW) -> None:
        """Reads no more, until there is no reason left for that."""
        if not self._paused and not self.transport.is_closing():
            self.transport.pause_reading()
        self._paused |= why

    def resume(self, why: int = FLOW) -> None:
        """Reads again, if that was the only reason."""
        if self._paused:
            self._paused &= ~why
            if not self._paused and not self.transport.is_closing():
                self.transport.resume_reading()

    def close(self) -> None:
        """Ends behind what was written."""
        if not self.transport.is_closing():  # a second time would let go of TLS (asyncio 3.11)
            self.transport.close()

    def abort(self) -> None:
        """Ends at once."""
        self.transport.abort()

    def break_off(self, *, reset: bool, flush: bool) -> None:
        """Ends so that an unfinished answer cannot be taken for a finished one.

        In HTTP/1.1 the missing last chunk, or the missing bytes, say so. In HTTP/1.0 an answer may
        end with its connection, and only a reset differs from a good end.
        """
        if reset:
            peer = self.transport.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self.transport.abort()
        elif flush:
            self.close()
        else:
            self.transport.abort()

    def end_sending(self) -> None:
        """Tells the client that nothing more will come, while it may still be heard. TLS has no
        way to say that: there the client has to believe `Connection: close`."""
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def has_left(self) -> bool:
        """Whether a client that is not read from has left; it would go unnoticed."""
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), GONE)
        return bool(poll.poll(0))

    def is_reset(self) -> bool:
        """Whether the other side has said that it is no more, in answer to something written."""
        peer = self.transport.get_extra_info("socket")
        return bool(peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def is_stuck(self, now: float, send_seconds: float, end_seconds: float) -> bool:
        """Whether nothing of what waits was taken for so long; or the end is not answered.

        Behind the end of TLS a client should say goodbye, and some never do.
        """
        waiting = self.transport.get_write_buffer_size()
        if waiting:
            self._silent_since = now
            if waiting != self._stuck[0]:
                self._stuck = waiting, now
            return now - self._stuck[1] > send_seconds
        self._stuck = 0, now
        if not self.transport.is_closing():
            self._silent_since = now
        return now - self._silent_since > end_seconds
