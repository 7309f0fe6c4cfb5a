"""Log monitors: each keeps the last 100 KiB, tells its listeners, and passes on to its sink."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from lab.llama_swap.text import quoted

HISTORY = 100 * 1024
LEVELS = ("debug", "info", "warn", "error")


class Monitor:
    def __init__(self, sink: Monitor | int | None = None) -> None:
        """`sink` is another monitor, a file descriptor, or None to go nowhere else."""
        self.sink = sink
        self.level = "info"
        self.history = bytearray()
        self.listeners: set[asyncio.Queue[bytes]] = set()

    def write(self, data: bytes) -> None:
        if isinstance(self.sink, Monitor):
            self.sink.write(data)
        elif self.sink is not None:
            try:
                os.write(self.sink, data)
            except BrokenPipeError:
                raise  # SIGPIPE ends a Go program that writes to a closed stdout
            except OSError:
                pass  # a terminal that was closed; Go's writers go on
        self.history += data
        del self.history[:-HISTORY]
        for listener in self.listeners:
            listener.put_nowait(data)

    def log(self, level: str, message: str) -> None:
        threshold = self.level if self.level in LEVELS else "info"
        if LEVELS.index(level) >= LEVELS.index(threshold):
            self.write(f"[{level.upper()}] {message}\n".encode())

    def info(self, message: str) -> None:
        self.log("info", message)

    def warn(self, message: str) -> None:
        self.log("warn", message)

    @contextmanager
    def listen(self) -> Iterator[asyncio.Queue[bytes]]:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self.listeners.add(queue)
        try:
            yield queue
        finally:
            self.listeners.discard(queue)


class Logs:
    """The three monitors, wired as `logToStdout` says; they outlive a reload."""

    def __init__(self, to_stdout: str) -> None:
        self.mux = Monitor(None if to_stdout == "none" else 1)
        self.proxy = Monitor(self.mux if to_stdout in ("proxy", "both") else None)
        self.upstream = Monitor(self.mux if to_stdout in ("upstream", "both") else None)

    def set_level(self, level: str) -> None:
        self.proxy.level = self.upstream.level = level


def complain(message: str, **details: str) -> None:
    """An error before the logs exist, on stderr, as Go's log/slog prints by default."""
    shown = "".join(f" {name.replace('_', '-')}={quoted(value)}" for name, value in details.items())
    print(f"{datetime.now():%Y/%m/%d %H:%M:%S} ERROR {message}{shown}", file=sys.stderr, flush=True)
