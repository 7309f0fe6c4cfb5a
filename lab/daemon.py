"""The lab's background process: every Mac's sshd, launchd and screen, the Hub, the control port.

Started by lab.lab as `python -m lab.daemon DIRECTORY`; with --leash it ends when its stdin does,
so that it cannot outlive the test run that started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import importlib
import json
import marshal
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from lab import control, llama_swap, processes
from lab.commands import STATE
from lab.launchd.call import Caller
from lab.launchd.jobs import GUI, Launchd
from lab.launchd.launchctl import launchctl
from lab.mac import Machine
from lab.ssh import Sshd
from lab.terminal import Window

INSTALLER = "/homebrew/install.sh"
ANSWERING = str(Path(__file__).with_name("commands") / "answering.py")


class Host:
    """One running Mac."""

    def __init__(self, machine: Machine, ssh_port: int) -> None:
        self.machine = machine
        self.sshd = Sshd(machine, ssh_port)
        self.launchd = Launchd(machine)
        self.windows: list[Window] = []

    def boot(self) -> None:
        self.machine.booted()
        self.launchd.boot()
        if self.machine.facts["console"]:
            self.launchd.login()

    # -- what the control port offers

    async def launchctl(self, argv: list[str], **caller: Any) -> dict[str, Any]:
        reply = await launchctl(self.launchd, argv, Caller(**caller))
        return {"code": reply.code, "out": reply.out, "err": reply.err}

    async def open_terminal(self, file: str) -> None:
        if GUI not in self.launchd.domains:
            raise ValueError("nobody is logged in at the console")
        self.windows.append(Window(self.machine, len(self.windows), file))

    async def terminals(self) -> list[dict[str, Any]]:
        return [window.describe() for window in self.windows]

    async def terminal_write(self, number: int, text: str) -> None:
        self.windows[number].write(text)

    async def terminal_close(self, number: int) -> None:
        self.windows[number].close()

    async def login(self) -> None:
        self.machine.set(console=True)
        self.launchd.login()

    async def logout(self) -> None:
        self.machine.set(console=False)
        for window in self.windows:
            window.close()
        self.windows.clear()
        await self.launchd.logout()

    async def disconnect(self) -> None:
        """As when the network goes away: every SSH connection breaks off."""
        self.sshd.disconnect()

    async def darken(self) -> None:
        """As without power or network, in the midst of whatever it does."""
        self.sshd.darken()

    async def reboot(self) -> None:
        """A power cut and a start: nothing is asked to leave."""
        self.launchd.forget()
        self.sshd.disconnect()
        await asyncio.to_thread(processes.kill_all, [str(self.machine.root)])
        for window in self.windows:
            window.close()
        self.windows.clear()
        self.boot()


OPERATIONS = frozenset(
    [
        "launchctl",
        "open_terminal",
        "terminals",
        "terminal_write",
        "terminal_close",
        "login",
        "logout",
        "darken",
        "disconnect",
        "reboot",
    ]
)


class Daemon:
    """Everything that listens."""

    def __init__(self, directory: Path, settings: dict[str, Any]) -> None:
        self.directory = directory
        self.token = secrets.token_hex(16)
        self.hosts = {
            name: Host(Machine(directory / name), mac["ssh"])
            for name, mac in settings["macs"].items()
        }
        self.hub_port: int = settings["hub_port"]
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        roots = [str(host.machine.root) for host in self.hosts.values()]
        await asyncio.to_thread(processes.kill_all, roots)  # of a daemon that was killed
        # Ends with us, however we end, and then clears up after us.
        reaper = subprocess.Popen(  # noqa: ASYNC220  # quick, and it has to outlive the loop
            [sys.executable, "-I", "-S", processes.__file__, *roots],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        (self.directory / STATE).unlink(missing_ok=True)
        answering = subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-I", "-S", ANSWERING, str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        runner = web.AppRunner(create_app(self.directory / "hub"), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.hub_port, reuse_address=True).start()
        for host in self.hosts.values():
            host.boot()
            await host.sshd.start(self.directory / "host_key", self.directory / "authorized_keys")
        assert answering.stdout
        await asyncio.to_thread(answering.stdout.readline)
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        control.write_state(
            self.directory,
            {
                "pid": os.getpid(),
                "port": server.sockets[0].getsockname()[1],
                "token": self.token,
                "hub_url": f"http://127.0.0.1:{self.hub_port}",
                "llama_swap": llama_swap.describe(),
            },
        )
        await self.stopping.wait()
        (self.directory / control.STATE).unlink(missing_ok=True)
        server.close()
        for host in self.hosts.values():
            host.launchd.forget()
            await host.sshd.stop()
        await asyncio.to_thread(processes.kill_all, roots, 1.0)
        await runner.cleanup()
        for child in (answering, reaper):
            assert child.stdin
            child.stdin.close()
            await asyncio.to_thread(child.wait)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ValueError):  # a line that is too long, too
            token = (await reader.readline()).rstrip(b"\n")
            if hmac.compare_digest(token, self.token.encode()):
                answer = await self._answer(await reader.read())
            else:
                answer = {"error": "wrong token"}
            writer.write(marshal.dumps(answer))
            await writer.drain()
        writer.close()

    async def _answer(self, question: bytes) -> dict[str, Any]:
        try:
            message = marshal.loads(question)
            op = message["op"]
            if op == "stop":
                self.stopping.set()
                return {"result": None}
            if op not in OPERATIONS:
                return {"error": f"no such operation: {op}"}
            host = self.hosts[message["mac"]]
            operation: Callable[..., Awaitable[Any]] = getattr(host, op)
            return {"result": await operation(**message["arguments"])}
        except Exception as error:  # one bad request must not end the lab
            return {"error": f"{type(error).__name__}: {error}"}


def create_app(hub_root: Path) -> web.Application:
    """The Hub, with Homebrew's installer beside it."""

    @web.middleware
    async def installer(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        # Before the Hub's own routes, to which this could be a repository's name.
        if request.path == INSTALLER:
            return web.FileResponse(Path(__file__).with_name("homebrew-install.sh"))
        return await handler(request)

    hub_root.mkdir(exist_ok=True)
    try:
        # By name, because the lab is useful without its Hub too.
        app: web.Application = importlib.import_module("lab.hub").create_app(hub_root)
    except ModuleNotFoundError as missing:
        if missing.name != "lab.hub":
            raise
        app = web.Application()
    app.middlewares.insert(0, installer)
    return app


async def _leash(daemon: Daemon) -> None:
    """Stop when whoever started us closes our stdin or dies."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    await reader.read()
    daemon.stopping.set()


async def main(directory: Path, *, leashed: bool) -> None:
    daemon = Daemon(directory, json.loads((directory / "lab.json").read_text()))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, daemon.stopping.set)
    leash = asyncio.create_task(_leash(daemon)) if leashed else None
    await daemon.run()
    if leash:
        leash.cancel()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), leashed="--leash" in sys.argv))
