"""The access log: one line of key=value for each request, to be read by people and programs.

Never a prompt, an answer, a query or a key. What a client chose (path, model, method) is quoted as
JSON unless it is plain, so no request can forge a line or a field.
"""

import asyncio
import os
import re
import time
from functools import lru_cache
from typing import NamedTuple

LONGEST = 200

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


class AccessLog:
    """Writes lines to a file, all of one turn of the event loop at once."""

    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor
        self._lines: list[str] = []
        self._second = 0
        self._stamp = ""

    def write(self, line: Line) -> None:
        """Queues a line."""
        if not self._lines:
            asyncio.get_running_loop().call_soon(self.flush)
        now = time.time()
        if int(now) != self._second:
            self._second = int(now)
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        milliseconds = int(now % 1 * 1000)
        self._lines.append(f"{self._stamp}.{milliseconds:03d}Z INFO access {line.text()}\n")

    def flush(self) -> None:
        """Writes what is queued. A log that cannot be written is no reason to stop serving."""
        data = "".join(self._lines).encode("ascii", "backslashreplace")
        self._lines.clear()
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            pass
