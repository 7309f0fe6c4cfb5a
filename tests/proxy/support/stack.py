"""The proxy under its policy, over sockets, in front of a script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import openai

from proxy.accounting.access_log import Line
from proxy.accounting.usage import Usage
from proxy.app import Settings, create_engine
from proxy.engine.upstream_pool import HAPROXY, LLAMA_SWAP
from proxy.keys.store import KeyStore
from proxy.policy.policy import HerdPolicy, PolicyState
from proxy.readiness.readiness import Readiness
from tests.proxy.support.policy import ANNA, STANDARD, Lines
from tests.proxy.support.proxy import STREAM_HEAD, Script, Seen, Upstream, Wire, answer, listening

if TYPE_CHECKING:
    import anthropic


class Stack:
    """A proxy under its policy, in front of a script or of what listens on a port."""

    def __init__(
        self, directory: Path, upstream: Upstream, upstream_key: Path | None = None,
        *, gateway: bool = False,
    ) -> None:  # fmt: skip
        self.upstream = upstream
        self.config = directory / "config.json"
        self.write(*STANDARD)
        self.keys = KeyStore(self.config)
        self.usage = Usage(directory / "usage.db")
        self.readiness = Readiness(directory / "availability.json")
        self.state = PolicyState(
            self.keys, self.usage, readiness=self.readiness, gateway=gateway, log=Lines()
        )
        policy = HerdPolicy(self.state)
        self.engine = create_engine(
            Settings(
                keys=self.keys,
                upstream=f"http://127.0.0.1:{upstream.port}",
                upstream_key=upstream_key,
                policy=policy,
                readiness=self.readiness,
                behind=HAPROXY if gateway else LLAMA_SWAP,
            )
        )
        self.url = ""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def write(self, *entries: object, **more: object) -> None:
        self.config.write_text(json.dumps({"apiKeys": entries, **more}))

    @property
    def lines(self) -> list[Line]:
        """What the access log has."""
        assert isinstance(self.state.log, Lines)
        return self.state.log.lines

    def openai(self, key: str = ANNA) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0)

    def anthropic(self, key: str = ANNA) -> anthropic.AsyncAnthropic:
        import anthropic  # longer than all else that tests import: only where it is asked for

        return anthropic.AsyncAnthropic(base_url=self.url, api_key=key, max_retries=0)

    async def used(self) -> list[tuple[object, ...]]:
        for _ in range(50):
            if rows := self.usage.rows():
                return [tuple(row)[1:] for row in rows]
            await asyncio.sleep(0.05)
        return []


@asynccontextmanager
async def stack(
    directory: Path, script: Script, upstream_key: Path | None = None
) -> AsyncIterator[Stack]:
    async with (
        listening(Upstream(script)) as upstream,
        _stack(directory, upstream, upstream_key) as made,
    ):
        yield made


@asynccontextmanager
async def listening_on(directory: Path, port: int) -> AsyncIterator[Stack]:
    """In front of a real llama-swap, say."""
    async with _stack(directory, Upstream(answer(), port=port)) as made:
        yield made


@asynccontextmanager
async def gateway_to(
    directory: Path, port: int, upstream_key: Path | None = None
) -> AsyncIterator[Stack]:
    """A gateway's, in front of what HAProxy would be."""
    upstream = Upstream(answer(), port=port)
    async with _stack(directory, upstream, upstream_key, gateway=True) as made:
        yield made


@asynccontextmanager
async def _stack(
    directory: Path, upstream: Upstream, upstream_key: Path | None = None, *, gateway: bool = False
) -> AsyncIterator[Stack]:
    made = Stack(directory, upstream, upstream_key, gateway=gateway)
    _, port = await made.engine.listen("127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{port}"
    try:
        yield made
    finally:
        made.engine.close()
        await made.engine.closed(1)
        made.usage.close()


async def ask_raw(proxy: Stack, request: str) -> bytes:
    """Sends this, and returns all that comes until the proxy ends the connection."""
    port = int(proxy.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode())
    try:
        return await reader.read()
    finally:
        writer.close()


def streamed(*events: bytes, hold: asyncio.Event | None = None) -> Script:
    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(STREAM_HEAD)
        for event in events:
            await wire.chunk(event)
        if hold is not None:
            await wire.closed_by_peer()
            hold.set()
        else:
            await wire.send(b"0\r\n\r\n")

    return script
