"""The key that llama-swap asks for, out of a file that may come and change while the proxy runs.

It goes up in place of the client's credential, and nowhere else.
"""

import logging
import re
from pathlib import Path

_log = logging.getLogger("proxy.upstream")

# What a header and llama-swap's list of keys can hold: it takes none with a space in it.
_KEY = re.compile(rb"[!-~]+")


class UpstreamKey:
    """`line` is the header line that a request to llama-swap carries, b"" without a key."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.line = b""
        self._stamp: tuple[int, ...] | None = ()  # of no file there ever was
        self.look()

    def look(self) -> None:
        """Takes a changed file; a broken or missing one leaves no key, which llama-swap refuses."""
        if self.path is None or self._stamp == (stamp := self._looked(self.path)):
            return
        self._stamp = stamp
        try:
            key = self.path.read_bytes().strip()
        except OSError as error:
            self.line = b""
            _log.warning("llama-swap's key cannot be read: %s: %s", self.path, error.strerror)
            return
        good = _KEY.fullmatch(key)
        self.line = b"Authorization: Bearer " + key + b"\r\n" if good else b""
        if good:
            _log.info("llama-swap's key read: %s", self.path)
        else:
            _log.warning("llama-swap's key is none: %s", self.path)

    @staticmethod
    def _looked(path: Path) -> tuple[int, ...] | None:
        try:
            found = path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size
