"""Serves one configuration after the other until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
from pathlib import Path

import aiohttp
from aiohttp import web

from lab.llama_swap.config import load
from lab.llama_swap.logs import Logs, complain
from lab.llama_swap.macros import ConfigError
from lab.llama_swap.server import Generation, Server

POLL_SECONDS = 2.0
SHUTDOWN_SECONDS = 30.0


class Service:
    """From its flags to the signal that ends it."""

    def __init__(self, flags: dict[str, str]) -> None:
        self.flags = flags
        self.path = Path(flags["config"])
        self.reloading = False
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        try:
            config = load(self.path)
        except ConfigError as error:
            complain(
                "failed to load config",
                config=self.flags["config"],
                config_dir="",
                error=str(error),
            )
            return 1
        self.logs = Logs(config.log_to_stdout)
        self.logs.set_level(config.log_level)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=30)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            timeout=timeout, connector=connector, auto_decompress=False
        ) as self.client:
            try:
                generation = Generation(config, self.logs, self.client)
            except ConfigError as error:
                complain("failed to create server", error=str(error))
                return 1
            self.server = Server(generation, self.logs)
            return await self._serve()

    async def _serve(self) -> int:
        # Handlers are cancelled when their client leaves, and with them the request upstream.
        runner = web.AppRunner(self.server.create_app(), handler_cancellation=True, access_log=None)
        await runner.setup()
        stop: asyncio.Queue[signal.Signals] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.put_nowait, number)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        watcher = self._spawn(self._watch()) if "watch-config" in self.flags else None
        try:
            await self._listen(runner)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            if "address already in use" in reason:
                reason = f"listen tcp {self._address()}: bind: address already in use"
            complain("http server error", error=reason)
            # The real one leaves preloaded models behind here; the lab had rather not.
            await self.server.active.shutdown(1.0)
            return 1
        number = await stop.get()
        told = {signal.SIGTERM: "terminated", signal.SIGINT: "interrupt"}[number]
        self.logs.proxy.info(f"received signal {told}, shutting down")
        if watcher:
            watcher.cancel()
        await self._shut_down(runner)
        return 0

    def _address(self) -> str:
        tls = "tls-cert-file" in self.flags
        return self.flags.get("listen") or (":8443" if tls else ":8080")

    async def _listen(self, runner: web.AppRunner) -> None:
        address = self._address()
        host, _, port = address.rpartition(":")
        context = None
        if "tls-cert-file" in self.flags:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self.flags["tls-cert-file"], self.flags["tls-key-file"])
        kind = "with TLS on https" if context else "on http"
        self.logs.proxy.info(f"llama-swap listening {kind}://{address}")
        site = web.TCPSite(runner, host.strip("[]") or None, int(port), ssl_context=context)
        await site.start()
        if host.strip("[]") not in ("localhost", "::1") and not host.startswith("127."):
            self.logs.proxy.info(
                "llama-swap is reachable by all hosts on the network, "
                f"use -listen localhost:{port} to restrict to loopback only"
            )

    async def _shut_down(self, runner: web.AppRunner) -> None:
        """Requests under way may end; then the models are stopped, all within half a minute."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SHUTDOWN_SECONDS
        self.server.active.streams_end.set()
        for site in list(runner.sites):
            await site.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.server.idle.wait(), SHUTDOWN_SECONDS)
        await self.server.active.shutdown(max(0.001, deadline - loop.time()))
        await runner.cleanup()
        self.logs.proxy.info("shutdown complete")

    def _hang_up(self) -> None:
        self.logs.proxy.info("received SIGHUP, reloading config")
        self._spawn(self._reload())

    async def _watch(self) -> None:
        self.logs.proxy.info("watching configuration for changes (poll-based, 2s interval)")
        before = _stamp(self.path)
        while True:
            await asyncio.sleep(POLL_SECONDS)
            now = _stamp(self.path)
            if now is not None and now != before:
                await self._reload()
            before = now

    async def _reload(self) -> None:
        if self.reloading:
            return
        self.reloading = True
        log = self.logs.proxy
        try:
            log.info("reloading configuration")
            try:
                config = load(self.path)
            except ConfigError as error:
                log.warn(f"failed to reload config: {error}")
                return
            old = self.server.active
            try:
                # Its preload begins before the old models are stopped, as in the real one.
                self.server.active = Generation(config, self.logs, self.client)
            except ConfigError as error:
                log.warn(f"failed to build new server during reload: {error}")
                return
            self.logs.set_level(config.log_level)
            await old.shutdown(SHUTDOWN_SECONDS)
            log.info("configuration reloaded")
        finally:
            self.reloading = False

    def _spawn(self, coroutine: object) -> asyncio.Task[None]:
        assert asyncio.iscoroutine(coroutine)
        task: asyncio.Task[None] = asyncio.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
