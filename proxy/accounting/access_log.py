"""The access log: one line of key=value for each request, to be read by people and programs.

Never a prompt, an answer, a query or a key. What a client chose (path, model, method) is quoted as
JSON unless it is plain, so no request can forge a line or a field.
"""

import asyncio
import os
import re
import time
from collections import Counter
from functools import lru_cache
from typing import NamedTuple

LONGEST = 200

LINES, LINES_OF_ONE = 50, 10
"""Minor lines in a second: of all, and of one client."""
SUM_SECONDS = 1.0
SUMS = 100
"""Of clients, keys and statuses apart; what is more is one sum for each status."""

_PLAIN = re.compile(r"[A-Za-z0-9._~/:+@#-]{1,200}")
_KEY = re.compile(r"sk-[A-Za-z0-9_-]{8,}")  # put where it does not belong
_UNSAFE = re.compile(r'[^ !#-\[\]-~]|["\\]')


class Line(NamedTuple):
    """What is told of one request."""

    id: str
    client: str
    key: str
    method: str
    path: str
    model: str | None
    status: int
    seconds: float
    first: float | None = None
    prompt: int | None = None
    completion: int | None = None
    sent: int = 0
    note: str = "-"

    def text(self) -> str:
        """Without the time."""
        line = (
            f"id={self.id} client={plain(self.client)} key={plain(self.key)} "
            f"method={plain(self.method)} path={plain(self.path)} status={self.status} "
            f"time={self.seconds:.3f} sent={self.sent}"
        )
        if self.model is not None:
            line += f" model={plain(self.model)}"
        if self.first is not None:
            line += f" first={self.first:.3f}"
        if self.prompt is not None:
            line += f" in={self.prompt} out={self.completion}"
        return line if self.note == "-" else f"{line} note={plain(self.note)}"


@lru_cache(maxsize=1024)
def plain(text: str) -> str:
    """One word: as it is, or quoted with everything escaped that is not printable ASCII."""
    text = _KEY.sub("sk-...", text)
    if _PLAIN.fullmatch(text):
        return text
    cut = text[:LONGEST] + ("..." if len(text) > LONGEST else "")
    return '"' + _UNSAFE.sub(_escape, cut) + '"'


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]) & 0xFFFF:04x}"


class Brief:
    """What of the requests that llama-swap never saw is told one by one, and what in sums.

    They cost next to nothing, so somebody without a key could fill a disk with lines on them.
    """

    def __init__(self) -> None:
        self._told: Counter[str] = Counter()  # in this second, by client
        self._sums: Counter[tuple[str, str, int]] = Counter()
        self._second = 0

    def is_told(self, client: str, key: str, status: int, second: int) -> bool:
        """Whether this one has a line of its own; otherwise it is added up."""
        if second != self._second:
            self._second = second
            self._told.clear()
        if self._told.total() < LINES and self._told[client] < LINES_OF_ONE:
            self._told[client] += 1
            return True
        who = client, key, status
        if who not in self._sums and len(self._sums) >= SUMS:
            who = "others", "-", status
        self._sums[who] += 1
        return False

    def take(self) -> list[str]:
        """The sums since the last time, without the time."""
        found = [
            f"client={plain(client)} key={plain(key)} status={status} count={count}"
            for (client, key, status), count in self._sums.items()
        ]
        self._sums.clear()
        return found


class AccessLog:
    """Writes lines to a file, all of one turn of the event loop at once."""

    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor
        self._lines: list[str] = []
        self._second = 0
        self._stamp = ""
        self._brief = Brief()
        self._sums: asyncio.TimerHandle | None = None

    def write(self, line: Line, *, minor: bool = False) -> None:
        """Queues a line; if it is a minor one, not more of them than can be read."""
        now = time.time()
        if not minor or self._brief.is_told(line.client, line.key, line.status, int(now)):
            self._tell(f"access {line.text()}", now)
        else:
            self._sum_later()

    def refused(self, id_: str, client: str, status: int, why: str) -> None:
        """Queues a line on what was no request, or came on a connection too many."""
        now = time.time()
        if self._brief.is_told(client, "-", status, int(now)):
            told = f"id={id_} client={plain(client)} status={status} note={plain(why)}"
            self._tell(f"refused {told}", now)
        else:
            self._sum_later()

    def _tell(self, text: str, now: float) -> None:
        if not self._lines:
            asyncio.get_running_loop().call_soon(self.flush)
        self._queue(text, now)

    def _sum_later(self) -> None:
        if self._sums is None:
            self._sums = asyncio.get_running_loop().call_later(SUM_SECONDS, self._sum_up)

    def _sum_up(self) -> None:
        self._sums = None
        for text in self._brief.take():
            self._queue(f"summed {text}", time.time())
        self.flush()

    def _queue(self, text: str, now: float) -> None:
        if int(now) != self._second:
            self._second = int(now)
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        milliseconds = int(now % 1 * 1000)
        self._lines.append(f"{self._stamp}.{milliseconds:03d}Z INFO {text}\n")

    def close(self) -> None:
        """Writes what is left, sums too."""
        if self._sums is not None:
            self._sums.cancel()
            self._sum_up()
        self.flush()

    def flush(self) -> None:
        """Writes what is queued. A log that cannot be written is no reason to stop serving."""
        data = "".join(self._lines).encode("ascii", "backslashreplace")
        self._lines.clear()
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            pass
