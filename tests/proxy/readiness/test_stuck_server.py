"""A real llama-swap whose llama-server stands still, as when its GPU hangs: all health is green."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from proxy.readiness.service import Service
from tests.proxy.support.haproxy import free_port
from tests.proxy.support.policy import METER, ROOT
from tests.proxy.support.proxy import body, run, status
from tests.proxy.support.stack import Stack, ask_raw, listening_on
from tests.proxy.support.swap import llama_swap, reciter

CHAT = '{"model": "quick", "max_tokens": 3, "messages": [{"role": "user", "content": "hi"}]}'


def request(line: str, sent: str = "", key: str = ROOT) -> str:
    head = f"Host: x\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n"
    return f"{line} HTTP/1.1\r\n{head}Content-Length: {len(sent)}\r\n\r\n{sent}"


def servers(port: int) -> list[int]:
    """The processes of llama-server, which are started with a port of the test's."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(port).encode() in words and b"--port" in words:
            found.append(int(entry.parent.name))
    return found


async def becomes(agent: int, true: Callable[[str], bool]) -> None:
    async with asyncio.timeout(30):
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", agent)
            line = (await reader.read()).decode()
            writer.close()
            if true(line):
                return
            await asyncio.sleep(0.1)


@pytest.mark.soak
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="it looks into /proc")
def test_a_server_that_stands_still_is_found_and_let_in_again() -> None:
    async def situation(proxy: Stack, swap: int) -> None:
        agent = free_port()
        service = Service(proxy.readiness, proxy.engine.looks.ask, deadline=2)
        await service.start(("127.0.0.1", agent))
        chat = request("POST /v1/chat/completions", CHAT)
        try:
            assert status(await ask_raw(proxy, chat)) == 200
            [server] = servers(swap + 1)
            os.kill(server, signal.SIGSTOP)
            try:
                waiting = asyncio.create_task(ask_raw(proxy, chat))
                await becomes(agent, lambda line: line == "ready down #a model gives no token\n")
                assert status(await ask_raw(proxy, request("GET /healthz"))) == 200
                for path in ("/livez", "/readyz"):
                    told = await ask_raw(proxy, request(f"GET {path}"))
                    assert (status(told), body(told)) == (503, b"a model gives no token\n")
                stuck = 'proxy_stuck{model="main"} 1.0'
                assert (
                    stuck in body(await ask_raw(proxy, request("GET /metrics", key=METER))).decode()
                )
                assert not waiting.done()
            finally:
                os.kill(server, signal.SIGCONT)
            assert status(await waiting) == 200
            await becomes(agent, lambda line: line == "ready up\n")
        finally:
            service.close()

    async def all_of_it(directory: Path, swap: int) -> None:
        async with listening_on(directory, swap) as proxy:
            await situation(proxy, swap)

    with TemporaryDirectory() as path:
        directory = Path(path)
        models = {"main": reciter(directory, "--parallel", "1", aliases=["quick"])}
        with llama_swap(directory, models) as swap:
            run(all_of_it(directory, swap), 90)
