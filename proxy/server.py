"""The listening socket, signals, and the orderly end."""

import asyncio
import logging
import resource
import signal
from contextlib import suppress

from aiohttp import web

from proxy.app import Settings, create_app
from proxy.drain import DRAIN
from proxy.forward import break_off

_log = logging.getLogger("proxy.server")

KEEPALIVE_SECONDS = 75
# aiohttp waits this long twice for what is still open, after the drain; launchd kills after 5 s
CLEANUP_SECONDS = 0.25
OPEN_FILES = 10240


def new_runner(settings: Settings) -> web.AppRunner:
    """aiohttp's server, with the defaults changed that a proxy cannot live with."""
    return web.AppRunner(
        create_app(settings),
        handler_cancellation=True,  # a client that leaves ends its request, before any token too
        auto_decompress=False,  # a compressed body goes up as it came
        access_log=None,  # `log` writes our own
        keepalive_timeout=KEEPALIVE_SECONDS,
        shutdown_timeout=CLEANUP_SECONDS,
    )


async def serve(settings: Settings, host: str, port: int, *, drain_seconds: float) -> None:
    """Runs until SIGTERM or SIGINT; OSError if the address cannot be listened on."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_signal_handler(signal.SIGHUP, settings.keys.reload)
    raise_open_files()
    runner = new_runner(settings)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        _log.info(
            "listening on %s, upstream %s, %s",
            _address(runner.addresses[0]),
            settings.upstream,
            settings.keys,
        )
        await stop.wait()
        await site.stop()
        left = await runner.app[DRAIN].finish(drain_seconds)
        for request in left:
            break_off(request)
        _log.info("ending, %d requests broken off", len(left))
    finally:
        await runner.cleanup()


def raise_open_files() -> None:
    """launchd grants 256 open files; each stream takes two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _address(name: tuple[str, int]) -> str:
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
