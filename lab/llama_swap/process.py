"""One model's process: started when asked for, watched until healthy, stopped as a group."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from typing import Literal

import aiohttp
from yarl import URL

from lab.llama_swap.config import Model
from lab.llama_swap.logs import Logs, Monitor
from lab.llama_swap.text import duration, split

State = Literal["stopped", "starting", "ready", "stopping"]
ABORT_GRACE = 5.0


class StartError(Exception):
    """The model could not be brought up; the text follows "unspecific error: "."""


class Process:
    def __init__(self, model: Model, logs: Logs, client: aiohttp.ClientSession) -> None:
        self.model = model
        self.log = logs.proxy
        self.output = Monitor(logs.upstream)
        self.client = client
        self.state: State = "stopped"
        self.in_flight = 0
        self.last_use = 0.0
        self._child: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._abort = asyncio.Event()
        self._turn = asyncio.Lock()

    async def ensure_ready(self, patience: int) -> None:
        async with self._turn:
            if self.state == "ready":
                return
            self.state = "starting"
            self._abort.clear()
            try:
                await self._start(patience)
            except BaseException:
                self.state = "stopped"
                raise
            self.state = "ready"
            self._watch = asyncio.create_task(self._watch_until_exit())

    async def stop(self, grace: float) -> None:
        """Return when the process is gone; one that is still starting is aborted."""
        self._abort.set()
        async with self._turn:
            if self._child is not None:
                self.state = "stopping"
                if self._watch:
                    self._watch.cancel()
                await self._kill(grace)
            self.state = "stopped"

    async def _start(self, patience: int) -> None:
        arguments = split(self.model.cmd)
        if not self.model.proxy:
            raise StartError("upstream proxy missing")
        if not arguments:
            raise StartError("unable to get sanitized command: empty command")
        try:
            self._child = await self._spawn(arguments)
        except OSError as error:
            command, program = " ".join(arguments), arguments[0]
            reason = f"fork/exec {program}: {(error.strerror or '').lower()}"
            if isinstance(error, FileNotFoundError) and "/" not in program:
                reason = f'exec: "{program}": executable file not found in $PATH'
            raise StartError(f"failed to start command '{command}': {reason}") from None
        endpoint = self.model.check_endpoint
        if endpoint.strip() == "none":
            return
        deadline = time.monotonic() + patience + 0.25
        # A quarter of a second passes before it even looks whether the command is still there.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._abort.wait(), 0.25)
        wait = 0.0
        while True:
            await self._pause(wait)
            if time.monotonic() > deadline:
                await self._kill(ABORT_GRACE)
                raise StartError(f"health check timed out after {duration(patience)}")
            if await self._healthy(endpoint):
                self.log.info(
                    f"<{self.model.id}> Health check passed on {self.model.proxy}{endpoint}"
                )
                return
            wait = 1.0

    async def _spawn(self, arguments: list[str]) -> asyncio.subprocess.Process:
        reader, writer = os.pipe()
        settings = (each.partition("=") for each in self.model.env)
        environment = {**os.environ, **{name: value for name, _, value in settings}}
        try:
            child = await asyncio.create_subprocess_exec(
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                env=environment,
                process_group=0,
            )
        except OSError:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        # Our own pipe: waiting for the child must not wait for a grandchild that holds it open.
        asyncio.get_running_loop().add_reader(reader, self._read, reader)
        return child

    def _read(self, reader: int) -> None:
        if data := os.read(reader, 65536):
            self.output.write(data)
        else:
            asyncio.get_running_loop().remove_reader(reader)
            os.close(reader)

    async def _pause(self, seconds: float) -> None:
        """Wait, and raise if the child leaves or the start is called off meanwhile."""
        assert self._child is not None
        exited = asyncio.ensure_future(self._child.wait())
        aborted = asyncio.ensure_future(self._abort.wait())
        await asyncio.wait({exited, aborted}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for each in (exited, aborted):
            each.cancel()
        if self._abort.is_set():
            await self._kill(ABORT_GRACE)
            raise StartError("aborted")
        if self._child.returncode is not None:
            self._child = None
            raise StartError("upstream command exited prematurely")

    async def _healthy(self, endpoint: str) -> bool:
        url = URL(self.model.proxy.rstrip("/") + "/" + endpoint.lstrip("/"))
        try:
            async with self.client.get(url, timeout=aiohttp.ClientTimeout(30)) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def _watch_until_exit(self) -> None:
        """While ready: notice an exit nobody asked for, and unload when idle for too long."""
        assert self._child is not None
        exited = asyncio.ensure_future(self._child.wait())
        while not exited.done():
            await asyncio.wait({exited}, timeout=1.0)
            idle = self.in_flight == 0 and time.time() - self.last_use > self.model.ttl
            if self.model.ttl > 0 and idle and not exited.done():
                self.log.info(
                    f"<{self.model.id}> Unloading model, TTL of {self.model.ttl}s reached"
                )
                self._watch = None
                await self.stop(self.model.unload_timeout)
                return
        self._child = None
        self.state = "stopped"
        self.log.warn(f"<{self.model.id}> upstream process exited unexpectedly")

    async def _kill(self, grace: float) -> None:
        child = self._child
        if child is None:
            return
        await self._send_stop(child)
        try:
            await asyncio.wait_for(child.wait(), grace)
        except TimeoutError:
            _signal_group(child, signal.SIGKILL)
            await child.wait()
        self._child = None

    async def _send_stop(self, child: asyncio.subprocess.Process) -> None:
        if not self.model.cmd_stop:
            _signal_group(child, signal.SIGTERM)
            return
        arguments = split(self.model.cmd_stop.replace("${PID}", str(child.pid)))
        with contextlib.suppress(OSError):
            await asyncio.create_subprocess_exec(*arguments, process_group=0)


def _signal_group(child: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
