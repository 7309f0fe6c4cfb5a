"""The dashboard in a real Chromium: logging in, what its pages may do, and what others may not.

With LAB_LLAMA_SWAP=PATH a real llama-swap is behind the proxy. If it was built without its pages,
or is none, a small page asks for the same things.
"""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from socket import create_server, socket

import pytest
from aiohttp import ClientSession

from tests.proxy.support.browser import CHROMIUM, Tab, browser
from tests.proxy.support.policy import ROOT
from tests.proxy.support.proxy import Script, Seen, Upstream, Wire, answer, listening, run, until
from tests.proxy.support.stack import Stack, stack

LLAMA_SWAP = os.environ.get("LAB_LLAMA_SWAP", "")
DASHBOARD = b"""<!doctype html><title>fake llama-swap</title><p id=said></p><script>
fetch("/api/version").then(r => r.text()).then(t => {
  new EventSource("/api/events").onmessage = e => said.textContent += t + e.data;
});
</script>"""
EVENTS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"d\r\ndata: hello\n\n\r\n"
)
HTML = "Content-Type: text/html\r\n"
ACTS = ("/unload", "/api/models/unload", "/api/models/unload/m", "/upstream/m/health")

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on PATH"),
]


async def fake(seen: Seen, wire: Wire) -> None:
    """llama-swap as far as the dashboard needs it."""
    path = seen.line.split()[1]
    if path == "/api/events":
        await wire.send(EVENTS)
        await wire.closed_by_peer()
    elif path == "/api/version":
        await answer(body=b"v1 ")(seen, wire)
    elif path == "/ui/":
        await answer(HTML, DASHBOARD)(seen, wire)
    else:
        await answer(body=b"done")(seen, wire)


def free_port() -> int:
    with create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@asynccontextmanager
async def real(directory: Path) -> AsyncIterator[Script]:
    """llama-swap itself; as a script, because what reaches it is noted on the way."""
    config = directory / "llama-swap.yaml"
    config.write_text(json.dumps({"models": {"m": {"cmd": "sleep 1000", "proxy": "http://x"}}}))
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        LLAMA_SWAP, "-config", str(config), "-listen", f"127.0.0.1:{port}",
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    async def script(seen: Seen, wire: Wire) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        lines = [f"{name}: {value}" for name, value in seen.headers] + ["Connection: close"]
        writer.write("\r\n".join([seen.line, *lines, "", ""]).encode() + seen.body)
        data = await reader.read(65536)
        if data.startswith(b"HTTP/1.1 404 ") and seen.line.startswith("GET /ui/ "):
            await fake(seen, wire)
            data = b""
        while data:
            await wire.send(data)
            data = await reader.read(65536)
        writer.close()
        wire.writer.close()

    def is_up() -> bool:
        with socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    try:
        await until(is_up, 20)
        yield script
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def dashboard(directory: Path) -> AsyncIterator[tuple[Tab, Stack]]:
    """A browser, and the proxy in front of llama-swap."""
    async with browser(directory / "profile") as tab:
        if LLAMA_SWAP:
            async with real(directory) as script, stack(directory, script) as proxy:
                yield tab, proxy
        else:
            async with stack(directory, fake) as proxy:
                yield tab, proxy


async def log_in(tab: Tab, proxy: Stack, key: str = ROOT) -> str:
    """Types the key into the form; where that leads to."""
    assert await tab.go(f"{proxy.url}/ui/") == "/login"
    script = f"key.value = {json.dumps(key)}; document.querySelector('button').click()"
    return await tab.after(lambda: tab.run(script))


def acted(proxy: Stack) -> list[str]:
    """What of ACTS reached llama-swap."""
    return [seen.line for seen in proxy.upstream.seen if seen.line.split()[1] in ACTS]


def test_a_person_logs_in_sees_the_dashboard_and_logs_out(tmp_path: Path) -> None:
    """Its page, its scripts and its events come through; the session is out of their reach."""

    async def situation() -> None:
        async with dashboard(tmp_path) as (tab, proxy):
            assert await log_in(tab, proxy, "wrong") == "/login"
            assert "no key with the scope admin" in await tab.run("document.body.innerText")
            assert not await tab.cookies()
            assert (await log_in(tab, proxy)).startswith("/ui")
            (cookie,) = await tab.cookies()
            assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
            assert await tab.run("document.cookie") == ""

            await tab.sees("document.title.toLowerCase().includes('llama')")
            await until(lambda: tab.status("/api/events"), 10)
            assert set(tab.status("/api/events")) == {200}
            assert {told["status"] for told in tab.responses if "/ui/" in told["url"]} <= {200, 303}
            if "fake" in await tab.run("document.title"):
                await tab.sees("said.textContent")
            unload = "fetch('/api/models/unload', {method: 'POST'}).then(r => r.status)"
            assert await tab.run(unload) == 200
            assert acted(proxy) == ["POST /api/models/unload HTTP/1.1"]
            assert cookie["value"] not in repr(proxy.upstream.seen)
            assert ROOT not in repr(proxy.upstream.seen)

            await tab.run("fetch('/logout', {method: 'POST'}).then(r => r.status)")
            assert not await tab.cookies()
            assert await tab.go(f"{proxy.url}/ui/") == "/login"
            kept = {"Cookie": f"herd={cookie['value']}", "Sec-Fetch-Site": "same-origin"}
            async with ClientSession(proxy.url) as other, other.get("/running", headers=kept) as no:
                assert no.status == 401

    run(situation(), 90)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"], ids=["another site", "another port"])
def test_page_of_somebody_else_can_do_nothing(tmp_path: Path, host: str) -> None:
    """Another port of the same host is the same site: there the browser sends the cookie along."""

    async def situation() -> None:
        evil = answer(HTML, b"<!doctype html><title>evil</title><form id=f></form>")
        async with dashboard(tmp_path) as (tab, proxy), listening(Upstream(evil)) as page:
            assert (await log_in(tab, proxy)).startswith("/ui")
            home = f"http://{host}:{page.port}/"
            for act in ACTS:
                url = json.dumps(proxy.url + act)
                for method in ("GET", "POST"):
                    await tab.go(home)
                    options = f"{{method: '{method}', credentials: 'include', mode: 'no-cors'}}"
                    assert await tab.run(f"fetch({url}, {options}).then(r => r.type)") == "opaque"
                    submit = f"f.action = {url}; f.method = '{method}'; f.submit()"
                    assert await tab.after(lambda s=submit: tab.run(s)) in (act, "/login")
                await tab.go(home)
                image = f"new Promise(r => {{ i = new Image(); i.onerror = r; i.src = {url} }})"
                await tab.run(f"{image}.then(_ => 1)")
                read = f"fetch({url}, {{credentials: 'include'}}).then(_ => 1, _ => 0)"
                assert await tab.run(read) == 0
            await tab.go(home)
            out = f"f.action = '{proxy.url}/logout'; f.method = 'POST'; f.submit()"
            await tab.after(lambda: tab.run(out))

            assert acted(proxy) == []
            assert (await tab.go(f"{proxy.url}/ui/")).startswith("/ui"), "still logged in"

    run(situation(), 120)
