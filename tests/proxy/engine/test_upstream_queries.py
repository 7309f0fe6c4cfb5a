"""What llama-swap is asked for answers made here: one look serves all who come together."""

import asyncio
from pathlib import Path

import pytest

from proxy.engine import upstream_queries
from tests.proxy.support.policy import ANNA
from tests.proxy.support.proxy import Seen, Wire, answer, run, status, until
from tests.proxy.support.stack import Stack, stack

READY = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
MODELS = (
    f"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ANNA}\r\n"
    "Connection: close\r\n\r\n"
).encode()


async def hangs(_: Seen, wire: Wire) -> None:
    await wire.closed_by_peer()


async def ask(proxy: Stack, request: bytes) -> bytes:
    port = int(proxy.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("request_", [READY, MODELS], ids=["readyz", "models"])
def test_one_look_serves_all_while_llama_swap_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_: bytes
) -> None:
    """One connection, and all are told in time."""
    monkeypatch.setattr(upstream_queries, "FETCH_SECONDS", 1.0)

    async def situation() -> None:
        async with stack(tmp_path, hangs) as proxy:
            got = await asyncio.gather(*(ask(proxy, request_) for _ in range(100)))
            assert {status(said) for said in got} <= {502, 503}
            assert proxy.upstream.connections <= 3

    run(situation())


def test_who_leaves_takes_the_look_from_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the first one either, for whom it was begun."""

    async def slow(seen: Seen, wire: Wire) -> None:
        await asyncio.sleep(0.3)
        await answer(body=b"OK")(seen, wire)

    async def situation() -> None:
        async with stack(tmp_path, slow) as proxy:
            first = asyncio.create_task(ask(proxy, READY))
            await until(lambda: proxy.upstream.seen)
            second = asyncio.create_task(ask(proxy, READY))
            await asyncio.sleep(0.05)
            first.cancel()
            assert status(await second) == 200
            assert len(proxy.upstream.seen) == 1

    run(situation())


def test_answer_is_not_old(tmp_path: Path) -> None:
    """A restart of llama-swap is seen soon."""
    answers = iter(["200 OK", "503 Service Unavailable"])

    async def script(seen: Seen, wire: Wire) -> None:
        await answer(status=next(answers))(seen, wire)

    async def situation() -> None:
        async with stack(tmp_path, script) as proxy:
            assert status(await ask(proxy, READY)) == 200
            assert status(await ask(proxy, READY)) == 200
            await asyncio.sleep(upstream_queries.SHARED_SECONDS + 0.05)
            assert status(await ask(proxy, READY)) == 503

    run(situation())
