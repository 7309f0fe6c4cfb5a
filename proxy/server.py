"""The event loop, signals, and the orderly end."""

import asyncio
import gc
import logging
import resource
import signal
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any

from proxy.app import Settings, create_engine
from proxy.readiness.service import Service

_log = logging.getLogger("proxy.server")

# What is written to a client that reads slowly still goes out after the end, but not for long:
# launchd kills 5 s after SIGTERM.
FLUSH_SECONDS = 0.5
OPEN_FILES = 10240
OTHER_FILES = 200  # refused connections, idle ones to llama-swap, model files, logs and books


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
    certificate = settings.certificate
    loop.add_signal_handler(signal.SIGHUP, reload, settings)
    settings = fitting(settings, raise_open_files())
    # What is there now stays: the collector need not look at it for each thousand requests.
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    engine = create_engine(settings)
    service = Service(settings.readiness, engine.looks.ask, deadline=settings.token_deadline)
    renewal = loop.create_task(certificate.renew_often()) if certificate else None
    try:
        where, _ = await engine.listen(host, port, certificate.context if certificate else None)
        _log.info(
            "listening on %s%s, upstream %s, %s",
            where,
            " with TLS" if certificate else "",
            settings.upstream,
            settings.keys,
        )
        await service.start(settings.agent)
        if settings.sharing is not None:
            settings.sharing.start()
        await stop.wait()
        settings.readiness.ending = True
        if settings.sharing is not None:
            settings.sharing.close()
        left = await engine.finish(drain_seconds)
        _log.info("ending, %d requests broken off", left)
    finally:
        if renewal is not None:
            renewal.cancel()
        service.close()
        engine.close()
        await engine.closed(FLUSH_SECONDS)


def reload(settings: Settings) -> None:
    """Takes what may have changed in files: keys, the owner's word, other gateways, and the
    certificate."""
    settings.keys.reload()
    settings.readiness.look()
    if settings.sharing is not None:
        settings.sharing.look()
    if settings.certificate is not None:
        settings.certificate.renew()


def raise_open_files() -> int:
    """launchd grants 256 open files; each stream takes two. How many may be open now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
    return OPEN_FILES if soft == resource.RLIM_INFINITY else soft


def fitting(settings: Settings, open_files: int) -> Settings:
    """With no more connections than there are files for: without one, none could be taken."""
    limits = settings.limits
    most = max(1, (open_files - OTHER_FILES) // 2)
    if most >= limits.connections:
        return settings
    _log.warning("only %d connections, for only %d files may be open", most, open_files)
    fewer = replace(
        limits,
        connections=most,
        strangers=min(limits.strangers, max(1, most // 4)),
        share=min(limits.share, max(1, most // 16)),
    )
    return replace(settings, limits=fewer)
