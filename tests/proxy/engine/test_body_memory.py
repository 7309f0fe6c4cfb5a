"""What is held of bodies: counted for its key, bounded for each name and all, freed at once."""

import asyncio
import gc
import socket
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.body.body_reader import BodyReader
from proxy.engine.body_memory import BodyMemory
from tests.proxy.engine.test_soak import memory
from tests.proxy.support.policy import ANNA, ROOT, entry
from tests.proxy.support.proxy import (
    KEY,
    answer,
    config_file,
    headers,
    program,
    read_head,
    run,
    status,
    until,
)
from tests.proxy.support.stack import Stack, stack
from tests.proxy.test_program import port_of

MIB = 2**20


def test_sums() -> None:
    """A name has its share, all have theirs; less is always possible."""
    held = BodyMemory(10, 15)

    assert held.change("a", 10)
    assert not held.change("a", 1)
    assert held.change("b", 5)
    assert not held.change("b", 1)
    assert held.change("a", -10)
    assert held.change("b", 5)
    assert (held.all, held.of) == (10, {"b": 10})


def begin(key: str, length: int = 50 * MIB, model: str = "") -> bytes:
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Api-Key: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        + (f'{{"model":"{model}",' if model else "{")
        + '"messages":["'
    ).encode()


class Uploads:
    """Connections that send a body without a model."""

    def __init__(self, proxy: Stack) -> None:
        self.proxy = proxy
        self.open: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def start(self, key: str, size: int, model: str = "") -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.proxy.port)
        self.open.append((reader, writer))
        writer.write(begin(key, model=model) + b"x" * size)
        await writer.drain()
        return reader

    def end(self) -> None:
        for _, writer in self.open:
            writer.transport.abort()


def test_waiting_for_a_model_counts_into_parallel(tmp_path: Path) -> None:
    """One that has begun to send is one under way; its end gives the place back."""

    async def situation() -> None:
        async with stack(tmp_path, answer(body=b"{}")) as proxy:
            proxy.write(entry("anna", ANNA, parallel=1))
            uploads = Uploads(proxy)
            await uploads.start(ANNA, 1000)
            await until(lambda: proxy.engine.holdings.of.get("anna", 0) > 1000)
            refused = await read_head(await uploads.start(ANNA, 1000))
            assert status(refused) == 429
            uploads.end()
            await until(lambda: not proxy.engine.holdings.of)
            third = await uploads.start(ANNA, 1000)
            uploads.open[-1][1].write(b'"],"model":"m"')
            await until(lambda: not proxy.engine.holdings.of)
            assert not third.at_eof()
            assert status(await read_head(await uploads.start(ANNA, 0))) == 429
            uploads.end()

    run(situation())


def test_more_than_a_share_is_refused(tmp_path: Path) -> None:
    """503, and when to come again; another name goes on until all have too much."""

    async def situation() -> None:
        async with stack(tmp_path, answer(body=b"{}")) as proxy:
            proxy.engine.holdings = BodyMemory(3 * MIB, 4 * MIB)
            uploads = Uploads(proxy)
            await uploads.start(ANNA, 2 * MIB)
            await until(lambda: proxy.engine.holdings.all > 2 * MIB)
            refused = await read_head(await uploads.start(ANNA, 2 * MIB))
            assert status(refused) == 503
            assert headers(refused)["retry-after"] == "2"
            await until(lambda: proxy.engine.holdings.all < 2 * MIB + 100_000)
            await uploads.start(ROOT, MIB)
            await until(lambda: proxy.engine.holdings.all > 3 * MIB)
            assert status(await read_head(await uploads.start(ROOT, 2 * MIB))) == 503
            uploads.end()
            await until(lambda: proxy.engine.holdings.all == 0)

    run(situation())


def test_what_llama_swap_keeps_of_bodies_is_bounded(tmp_path: Path) -> None:
    """It reads each whole, however long, before it does anything; what is over is given back."""

    async def situation() -> None:
        async with stack(tmp_path, answer(body=b"{}")) as proxy:
            proxy.engine.sent = BodyMemory(3 * MIB, 4 * MIB)
            uploads = Uploads(proxy)
            first = await uploads.start(ANNA, 0, model="gpt-oss")
            uploads.open[0][1].write(b"x" * (2 * MIB))
            await until(lambda: proxy.engine.sent.all > 2 * MIB)
            assert proxy.engine.holdings.all < MIB
            second = await uploads.start(ANNA, 2 * MIB, model="gpt-oss")
            refused = await read_head(second)
            assert status(refused) == 503
            assert headers(refused)["retry-after"] == "2"
            await until(lambda: proxy.engine.sent.all < 2 * MIB + 100_000)
            await uploads.start(ROOT, MIB, model="gpt-oss")
            await until(lambda: proxy.engine.sent.all > 3 * MIB)
            assert status(await read_head(await uploads.start(ROOT, 2 * MIB, "gpt-oss"))) == 503
            assert not first.at_eof()
            uploads.end()
            await until(lambda: not (proxy.engine.sent.all or proxy.engine.sent.of))

    run(situation())


def test_a_body_is_256_mib_at_most(tmp_path: Path) -> None:
    async def situation() -> None:
        async with stack(tmp_path, answer(body=b"{}")) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(begin(ANNA, 256 * MIB + 1))
            assert status(await read_head(reader)) == 413
            writer.close()

    run(situation())


ENDS: dict[str, Callable[[asyncio.StreamWriter], None]] = {
    "reset": lambda writer: writer.transport.abort(),
    "closed": lambda writer: writer.close(),
    "broken": lambda writer: writer.write(b"\0" * 9),
    "whole": lambda writer: writer.write(b'"]}' + b" " * (50 * MIB)),
}


@pytest.mark.parametrize("how", ENDS)
def test_freed_at_once_whoever_ends_it(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the last reference, and not by the collector, which is made rare."""
    walks: list[Any] = []

    class Watched(BodyReader):
        __slots__ = ("__weakref__",)

        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            walks.append(weakref.ref(self))

    monkeypatch.setattr("proxy.body.named_model.BodyReader", Watched)

    async def situation() -> None:
        async with stack(tmp_path, answer(body=b"{}")) as proxy:
            uploads = Uploads(proxy)
            await uploads.start(ANNA, MIB)
            await until(lambda: proxy.engine.holdings.all > MIB)
            assert walks[0]() is not None
            ENDS[how](uploads.open[0][1])
            await until(lambda: walks[0]() is None)
            assert proxy.engine.holdings.all == 0
            uploads.end()

    gc.collect()
    gc.disable()
    try:
        run(situation())
    finally:
        gc.enable()


@pytest.mark.soak
def test_broken_off_uploads_leave_nothing(tmp_path: Path) -> None:
    """40 of 31 MiB, one after the other: the program is as large as before."""
    with program(config=config_file(tmp_path, KEY)) as process:
        assert process.stderr
        port = port_of(next(line for line in process.stderr if "listening" in line))
        before = memory(process.pid)
        for _ in range(40):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(begin(KEY) + b"x" * (31 * MIB))
                time.sleep(0.2)
        time.sleep(2)
        grown = memory(process.pid) - before

    assert grown < 40 * 1024  # KB
