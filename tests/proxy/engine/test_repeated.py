"""What HAProxy drops without a byte is asked once more, and nothing else is."""

from pathlib import Path

import pytest

from proxy.engine.request_forwarding import MOST_REPEATED
from tests.proxy.support.policy import PLAIN
from tests.proxy.support.proxy import STREAM_HEAD, Seen, Upstream, Wire, answer, listening, run
from tests.proxy.support.proxy import status as status_of
from tests.proxy.support.stack import ask_raw, gateway_to, listening_on


def chat(size: int) -> str:
    body = '{"model": "gpt", "messages": ["' + "x" * size + '"]}'
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {PLAIN}\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )


@pytest.mark.parametrize(
    ("gateway", "size", "drops", "status", "asked"),
    [
        (True, 10, 1, 200, 2),
        (True, 300_000, 1, 200, 2),
        (True, 10, 2, 502, 2),
        (True, MOST_REPEATED, 1, 502, 1),
        (False, 10, 1, 502, 1),
    ],
)
def test_once_more(
    tmp_path: Path, gateway: bool, size: int, drops: int, status: int, asked: int
) -> None:
    """Whole, to the byte."""
    upstream: Upstream

    async def script(seen: Seen, wire: Wire) -> None:
        if len(upstream.seen) <= drops:
            wire.die()
        else:
            await answer()(seen, wire)

    async def situation() -> None:
        nonlocal upstream
        upstream = Upstream(script)
        made = gateway_to if gateway else listening_on
        async with listening(upstream), made(tmp_path, upstream.port) as proxy:
            got = await ask_raw(proxy, chat(size))
            assert status_of(got) == status
            assert len(upstream.seen) == asked
            assert len({seen.body for seen in upstream.seen}) == 1
            assert b"x" * size in upstream.seen[-1].body

    run(situation())


def test_what_has_begun_is_broken_off(tmp_path: Path) -> None:
    """Of an answer nothing is made up, and nothing comes twice."""

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(STREAM_HEAD[:20])
        wire.die()

    async def situation() -> None:
        upstream = Upstream(script)
        async with listening(upstream), gateway_to(tmp_path, upstream.port) as proxy:
            assert status_of(await ask_raw(proxy, chat(10))) == 502
            assert len(upstream.seen) == 1

    run(situation())
