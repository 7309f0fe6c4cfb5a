"""The socket by which commands on this machine tell the proxy to look, and ask how it is.

Below the owner's directory and for the owner only, beside the file with his word. A question is
`look` or `check`, a line each way; the answer is JSON. What is a page elsewhere is one here, too,
for whom its owner's right is enough, as `curl --unix-socket`: such a question is a request of HTTP.
"""

import asyncio
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_log = logging.getLogger("proxy.readiness")

SECONDS = 5.0
"""How long a question may take to arrive."""

LINES = 100
"""Of a request's head; what is more is nobody's who belongs here."""

Answer = Callable[[], Awaitable[dict[str, Any]]]
Page = Callable[[], bytes]
"""A text by its path ("/metrics")."""


class Control:
    """Listens, and answers by name."""

    def __init__(
        self, path: Path, answers: Mapping[str, Answer], pages: Mapping[str, Page] | None = None
    ) -> None:
        self._path = path
        self._answers = answers
        self._pages = pages or {}
        self._server: asyncio.Server | None = None
        self._inode = 0

    async def listen(self) -> None:
        """Takes connections, if the path is none that is too long for a socket, and no other proxy
        listens there: then commands cannot ask this one, and their word counts with the next agent
        check or SIGHUP."""
        if _is_served(self._path):
            _log.warning("another proxy takes commands at %s", self._path)
            return
        before = os.umask(0o177)  # for the owner only, from the first moment on
        try:
            self._server = await asyncio.start_unix_server(self._serve, self._path, limit=64)
            self._inode = self._path.stat().st_ino
        except OSError as error:
            _log.warning("no socket for commands at %s: %s", self._path, error.strerror or error)
        finally:
            os.umask(before)

    def close(self) -> None:
        """Ends it."""
        if self._server is not None:
            self._server.close()
            self._server = None
            with suppress(FileNotFoundError):
                if self._path.stat().st_ino == self._inode:
                    self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ValueError, TimeoutError):
            async with asyncio.timeout(SECONDS):
                name = (await reader.readline()).decode("ascii", "replace").strip()
                method, _, target = name.partition(" ")
                if method == "GET":
                    await _rest_of_head(reader)
            if method == "GET":
                writer.write(self._page(target.partition(" ")[0]))
            else:
                writer.write(json.dumps(await self._told(name)).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _told(self, name: str) -> dict[str, Any]:
        answer = self._answers.get(name)
        return await answer() if answer else {"error": f"not one of {sorted(self._answers)}"}

    def _page(self, path: str) -> bytes:
        page = self._pages.get(path)
        if page is None:
            return b"HTTP/1.0 404 Not Found\r\n\r\n"
        return b"HTTP/1.0 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + page()


async def _rest_of_head(reader: asyncio.StreamReader) -> None:
    """Read to its end: what is not read when we close takes our answer along."""
    for _ in range(LINES):
        if not (await reader.readline()).strip():
            return


def _is_served(path: Path) -> bool:
    """Whether somebody listens there; what one that was killed has left does not."""
    with socket.socket(socket.AF_UNIX) as asking, suppress(OSError):
        asking.settimeout(SECONDS)
        asking.connect(str(path))
        return True
    return False
