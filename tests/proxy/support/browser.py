"""A real Chromium without a window, driven by its own protocol over a websocket."""

import asyncio
import itertools
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse

from tests.proxy.support.proxy import until

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--password-store=basic", "--remote-debugging-port=0",
)  # fmt: skip


@dataclass
class Tab:
    """One tab, and what it said of its network."""

    socket: ClientWebSocketResponse
    session: str = ""
    responses: list[dict[str, Any]] = field(default_factory=list)
    """CDP's Network.responseReceived, the `response` of each."""
    loads: int = 0
    _ids: Any = field(default_factory=lambda: itertools.count(1))
    _waiting: dict[int, asyncio.Future[Any]] = field(default_factory=dict)

    async def listen(self) -> None:
        """Runs as long as the tab does."""
        async for message in self.socket:
            told = json.loads(message.data)
            if waiting := self._waiting.pop(told.get("id", 0), None):
                waiting.set_result(told)
            elif told.get("method") == "Network.responseReceived":
                self.responses.append(told["params"]["response"])
            elif told.get("method") == "Page.loadEventFired":
                self.loads += 1

    async def call(self, method: str, **params: object) -> Any:
        """One command; its result."""
        number = next(self._ids)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        command = {"id": number, "method": method, "params": params}
        if self.session:
            command["sessionId"] = self.session
        await self.socket.send_json(command)
        async with asyncio.timeout(20):
            told = await future
        assert "error" not in told, told
        return told["result"]

    async def run(self, script: str) -> Any:
        """The value of an expression in the page, waited for if it is a promise."""
        told = await self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def sees(self, script: str) -> None:
        """Waits until an expression is true in the page."""
        async with asyncio.timeout(20):
            while not await self.run(script):  # noqa: ASYNC110 - it happens in another program
                await asyncio.sleep(0.05)

    async def go(self, url: str) -> str:
        """Opens an address as if typed; where that led to."""
        return await self.after(lambda: self.call("Page.navigate", url=url))

    async def after(self, act: Callable[[], Any]) -> str:
        """Where something that opens a page leads to."""
        before = self.loads
        await act()
        await until(lambda: self.loads > before, 20)
        place: str = await self.run("location.pathname")
        return place

    async def cookies(self) -> list[dict[str, Any]]:
        """All that the browser has."""
        found: list[dict[str, Any]] = (await self.call("Storage.getCookies"))["cookies"]
        return found

    def status(self, path: str) -> list[int]:
        """What a path was answered with, each time."""
        return [told["status"] for told in self.responses if told["url"].endswith(path)]


@asynccontextmanager
async def browser(directory: Path) -> AsyncIterator[Tab]:
    """A fresh Chromium with one empty tab."""
    assert CHROMIUM
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, *OPTIONS, f"--user-data-dir={directory}", "about:blank",
        stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, limit=2**20,
    )  # fmt: skip
    assert process.stderr
    try:
        async with asyncio.timeout(30):
            line = b""
            while b"DevTools listening on " not in line:
                line = await process.stderr.readline()
                assert line, "Chromium ended"
        drain = asyncio.create_task(process.stderr.read())
        address = line.decode().split("listening on ")[1].strip()
        async with ClientSession() as session, session.ws_connect(address, max_msg_size=0) as ws:
            tab = Tab(ws)
            listening = asyncio.create_task(tab.listen())
            target = (await tab.call("Target.createTarget", url="about:blank"))["targetId"]
            attached = await tab.call("Target.attachToTarget", targetId=target, flatten=True)
            tab.session = attached["sessionId"]
            for domain in ("Page", "Network", "Runtime"):
                await tab.call(f"{domain}.enable")
            yield tab
            listening.cancel()
        drain.cancel()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
