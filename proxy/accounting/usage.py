"""Usage per day, key and model in an SQLite file, written behind by a thread.

What is added is in memory at once and in the file within `DELAY`; a killed program loses no more
than that. The file survives a kill at any moment (a write-ahead log), and a disk that is full or
slow never holds up a request: what cannot be written stays in memory and is tried again.
"""

import logging
import re
import sqlite3
import threading
import time
from collections import deque
from datetime import date
from pathlib import Path
from typing import NamedTuple

_log = logging.getLogger("proxy.usage")

DELAY = 0.4
RETRY = 5.0
DAY = 86400

_SCHEMA = """
CREATE TABLE IF NOT EXISTS usage (
    day TEXT NOT NULL,
    key TEXT NOT NULL,
    model TEXT NOT NULL,
    requests INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    prompt INTEGER NOT NULL,
    completion INTEGER NOT NULL,
    PRIMARY KEY (day, key, model)
) WITHOUT ROWID
"""
_ADD = """
INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (day, key, model) DO UPDATE SET
    requests = requests + excluded.requests,
    errors = errors + excluded.errors,
    prompt = prompt + excluded.prompt,
    completion = completion + excluded.completion
"""


_Sums = dict[tuple[int, str, str], list[int]]


class Row(NamedTuple):
    """What one key used of one model on one day (UTC)."""

    day: str
    key: str
    model: str
    requests: int
    errors: int
    prompt: int
    completion: int


class Usage:
    """The books of a running proxy."""

    def __init__(self, path: Path) -> None:
        """Opens the file, and makes it if need be; ValueError says why that cannot be done."""
        self._path = path
        try:
            self._file = _open(path)
        except (sqlite3.Error, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise ValueError(f"{path} cannot be used for the usage: {why}") from None
        self._added: deque[tuple[int, str, str, int, int, int, int]] = deque()
        self._asleep = True
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="usage", daemon=True)
        self._thread.start()

    def add(
        self, key: str, model: str, requests: int = 0, errors: int = 0,
        prompt: int = 0, completion: int = 0,
    ) -> None:  # fmt: skip
        """Adds to today's numbers; negative ones correct what was added before.

        Runs for each request: no lock, and no sum yet.
        """
        day = int(time.time() // DAY)
        self._added.append((day, key, model, requests, errors, prompt, completion))
        if self._asleep:
            self._asleep = False
            self._wake.set()

    def rows(self, since: str = "", key: str | None = None) -> list[Row]:
        """What is in the file, which may be `DELAY` behind."""
        return read(self._path, since, key)

    def close(self) -> None:
        """Writes the rest."""
        self._ending.set()
        self._wake.set()
        self._thread.join()
        self._file.close()

    def _run(self) -> None:
        pending: _Sums = {}
        while not self._ending.is_set():
            if not pending:
                self._wake.wait()
            # Others of the same moment go into the same transaction.
            self._ending.wait(RETRY if self._failing else DELAY)
            self._wake.clear()
            self._asleep = True  # before looking: what comes from here on wakes this up again
            self._sum_up(pending)
            if pending and self._write(pending):
                pending = {}
        self._sum_up(pending)
        if pending:
            self._write(pending)

    def _sum_up(self, pending: _Sums) -> None:
        added = self._added
        while added:
            day, key, model, *numbers = added.popleft()
            sums = pending.setdefault((day, key, model), [0, 0, 0, 0])
            for index, number in enumerate(numbers):
                sums[index] += number

    def _write(self, pending: _Sums) -> bool:
        try:
            with self._file:
                self._file.executemany(
                    _ADD,
                    [(_text(day), *name, *sums) for (day, *name), sums in pending.items()],
                )
        except sqlite3.Error as error:
            if not self._failing:
                _log.error("usage is kept in memory, %s: %s", self._path, error)
            self._failing = True
            return False
        if self._failing:
            _log.info("usage is written again to %s", self._path)
        self._failing = False
        return True


def read(path: Path, since: str = "", key: str | None = None) -> list[Row]:
    """The rows of a file, from a day on; also while a proxy writes to it."""
    if not path.exists():
        raise ValueError(f"{path} does not exist: no proxy has written its usage there")
    try:
        file = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=2)
        try:
            found = file.execute(
                "SELECT * FROM usage WHERE day >= ? AND (? IS NULL OR key = ?) "
                "ORDER BY day, key, model",
                (since, key, key),
            )
            return [Row(*row) for row in found]
        finally:
            file.close()
    except sqlite3.Error as error:
        raise ValueError(f"{path} cannot be read: {error}") from None


def first_day(text: str) -> str:
    """The day that was so many days ago (`7d`), or a date; ValueError if it is neither."""
    if days := re.fullmatch(r"(\d{1,5})d", text):
        return _text(max(0, int(time.time() // DAY) - int(days[1])))
    return date.fromisoformat(text).isoformat()


def today() -> str:
    """The day in UTC, as in the file."""
    return _text(int(time.time() // DAY))


def _text(day: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(day * DAY))


def _open(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600)
    file = sqlite3.connect(path, timeout=5, check_same_thread=False)
    file.execute("PRAGMA journal_mode = WAL")
    file.execute("PRAGMA synchronous = NORMAL")
    file.execute(_SCHEMA)
    return file
