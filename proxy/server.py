"""The event loop, signals, and the orderly end."""

import asyncio
import gc
import logging
import resource
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from proxy.app import Settings, create_engine

_log = logging.getLogger("proxy.server")

# What is written to a client that reads slowly still goes out after the end, but not for long:
# launchd kills 5 s after SIGTERM.
FLUSH_SECONDS = 0.5
OPEN_FILES = 10240


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs on uvloop, which needs two thirds of asyncio's time per token; without it if need be."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main)


async def serve(settings: Settings, host: str, port: int, *, drain_seconds: float) -> None:
    """Runs until SIGTERM or SIGINT; OSError if the address cannot be listened on."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_signal_handler(signal.SIGHUP, settings.keys.reload)
    raise_open_files()
    # What is there now stays: the collector need not look at it for each thousand requests.
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    engine = create_engine(settings)
    try:
        address = await engine.listen(host, port)
        _log.info(
            "listening on %s, upstream %s, %s", _text(address), settings.upstream, settings.keys
        )
        await stop.wait()
        left = await engine.finish(drain_seconds)
        _log.info("ending, %d requests broken off", left)
    finally:
        engine.close()
        await engine.closed(FLUSH_SECONDS)


def raise_open_files() -> None:
    """launchd grants 256 open files; each stream takes two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _text(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
