"""The files that are on their way: `limits.files` at once, and who gives up a place for whom.

Whoever comes when all places are taken gets that of the slowest, if it is slower than a disk or a
network would be; else one of the client that has the most, if that has at least two more. So
nobody keeps the others out by reading slowly or by taking all. What is broken off goes on later
from where it was.
"""

import time
from collections import Counter
from dataclasses import dataclass

from proxy.engine.client_address import source_of
from proxy.engine.sendfile import Sending
from proxy.exchange import Request
from proxy.limits import Limits


@dataclass(slots=True)
class Transfer:
    """One file, and how much of it was sent at two moments: the older one is what its rate is
    measured from."""

    request: Request
    source: str
    sending: Sending
    older: tuple[float, int]
    newer: tuple[float, int]

    def rate(self, now: float) -> float:
        """Bytes a second, lately."""
        since, sent = self.older
        return (self.sending.sent - sent) / max(now - since, 0.001)


class Transfers:
    """Those that are open; none is waited for at the end."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: dict[Request, Transfer] = {}
        self._closed = False

    def enter(self, request: Request, sending: Sending) -> bool:
        """One more; False if it is one too many."""
        now, source = time.monotonic(), source_of(request.client)
        if self._closed:
            return False
        if len(self._open) >= self._limits.files:
            place = self._slowest(now) or self._surplus(source, now)
            if place is None:
                return False
            del self._open[place.request]
            place.request.abort("broken off: others wait")
        self._open[request] = Transfer(request, source, sending, (now, 0), (now, 0))
        return True

    def leave(self, request: Request) -> None:
        """One less."""
        self._open.pop(request, None)

    def tick(self) -> None:
        """Moves what rates are measured from: it is one to two windows ago."""
        now = time.monotonic()
        for transfer in self._open.values():
            if now - transfer.newer[0] >= self._limits.file_window_seconds:
                transfer.older = transfer.newer
                transfer.newer = now, transfer.sending.sent

    def close(self) -> int:
        """Breaks off all of them; how many."""
        self._closed = True
        broken = list(self._open)
        for request in broken:
            request.abort("broken off: the proxy ends")
        return len(broken)

    def _slowest(self, now: float) -> Transfer | None:
        """Too slow, and there for long enough to say so."""
        judged = [
            transfer
            for transfer in self._open.values()
            if now - transfer.older[0] >= self._limits.file_window_seconds
            and transfer.rate(now) < self._limits.file_rate
        ]
        return min(judged, key=lambda transfer: transfer.rate(now), default=None)

    def _surplus(self, source: str, now: float) -> Transfer | None:
        """The slowest of the client that has at least two more than this one."""
        counts = Counter(transfer.source for transfer in self._open.values())
        (most, count), *_ = counts.most_common(1)
        if count < counts[source] + 2:
            return None
        theirs = [transfer for transfer in self._open.values() if transfer.source == most]
        return min(theirs, key=lambda transfer: transfer.rate(now))
