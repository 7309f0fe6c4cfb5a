"""Clients that send no more behind their request: some listen still, and some are gone."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.proxy.support.policy import ROOT
from tests.proxy.support.proxy import (
    KEY,
    STREAM_HEAD,
    Seen,
    Wire,
    answer,
    body,
    proxied,
    read_head,
    run,
    status,
    until,
)
from tests.proxy.support.stack import stack

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
JSON = "Content-Type: application/json\r\n"


def request(path: str = "/v1/completions", key: str = KEY, version: str = "1.1") -> bytes:
    return f"GET {path} HTTP/{version}\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode()


async def slowly(seen: Seen, wire: Wire) -> None:
    await asyncio.sleep(0.3)
    await answer(body=b"fine")(seen, wire)


@pytest.fixture
def ends(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """How the last request ended."""
    caplog.set_level(logging.INFO, "proxy.access")
    return lambda: caplog.messages[-1].rpartition(" ")[2]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [("/v1/models", b'"gpt-oss"'), ("/v1/models/gpt-oss", b'"gpt-oss"'), ("/readyz", b"ready"),
     ("/nowhere", b"nothing here"), ("/healthz", b"ok"), ("/login", b"<form")],
)  # fmt: skip
def test_what_is_answered_here_is_answered(tmp_path: Path, path: str, wanted: bytes) -> None:
    """As `nc -N` asks it; also where llama-swap is asked first. No other word is sent."""
    listed = b'{"object":"list","data":[{"id":"gpt-oss","object":"model"}]}'

    async def situation() -> None:
        async with stack(tmp_path, answer(JSON, listed)) as proxy:
            for key in (ROOT, "sk-wrong-0123456789"):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", int(proxy.url.rpartition(":")[2])
                )
                writer.write(request(path, key))
                writer.write_eof()
                got = await reader.read()
                assert not got.startswith(CONTINUE)
                if key == ROOT or path in ("/readyz", "/healthz", "/login"):
                    assert wanted in body(got)
                else:
                    assert status(got) == 401
                writer.close()

    run(situation())


def test_who_listens_still_gets_llama_swaps_answer(ends: Callable[[], str]) -> None:
    """With a word before, by whose reset one that is gone would be known."""

    async def situation() -> None:
        async with proxied(slowly) as (proxy, _):
            reader, writer = await proxy.connect()
            writer.write(request())
            writer.write_eof()
            got = await reader.read()
            assert got.startswith(CONTINUE)
            assert status(got.removeprefix(CONTINUE)) == 200
            assert got.endswith(b"fine")
            await until(lambda: not proxy.engine.clients)
            assert ends() == "half-closed"

    run(situation())


def test_a_stream_is_passed_on_to_its_end() -> None:
    """Each token goes to one that listens."""

    async def script(_: Seen, wire: Wire) -> None:
        await asyncio.sleep(0.2)
        await wire.send(STREAM_HEAD)
        for number in range(5):
            await wire.chunk(b"data: %d\n\n" % number)
            await asyncio.sleep(0.05)
        await wire.send(b"0\r\n\r\n")

    async def situation() -> None:
        async with proxied(script) as (proxy, _):
            reader, writer = await proxy.connect()
            writer.write(request())
            writer.write_eof()
            got = await reader.read()
            assert got.endswith(b"0\r\n\r\n")
            assert b"data: 4" in got

    run(situation())


def test_requests_behind_each_other_are_all_answered() -> None:
    """`printf ... | nc -N` sends all of them first."""

    async def situation() -> None:
        async with proxied(slowly) as (proxy, upstream):
            reader, writer = await proxy.connect()
            writer.write(request("/a") + request("/b") + b"GET /half")
            writer.write_eof()
            got = await reader.read()
            assert got.count(b"HTTP/1.1 200 OK") == 2
            assert [seen.line for seen in upstream.seen] == ["GET /a HTTP/1.1", "GET /b HTTP/1.1"]

    run(situation())


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_who_is_gone_stops_llama_server_soon(version: str, ends: Callable[[], str]) -> None:
    """Its end looks the same; what is sent to it is answered by a reset."""
    gone = asyncio.Event()

    async def script(_: Seen, wire: Wire) -> None:
        await wire.closed_by_peer()
        gone.set()

    async def situation() -> None:
        async with proxied(script) as (proxy, upstream):
            _, writer = await proxy.connect()
            writer.write(request(version=version))
            await until(lambda: upstream.seen)
            began = asyncio.get_running_loop().time()
            writer.close()
            await gone.wait()
            assert asyncio.get_running_loop().time() - began < 1
            await until(lambda: not proxy.engine.clients)
            assert ends() == "cancelled"

    run(situation())


@pytest.mark.parametrize("sent", [b"POST / HTTP/1.1\r\nHost: x\r\n", None])
def test_half_a_request_is_none(sent: bytes | None) -> None:
    """In its head or in its body; nobody waits for the rest."""
    head = (
        f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 9\r\n\r\nabc"
    )

    async def situation() -> None:
        async with proxied(slowly) as (proxy, _):
            reader, writer = await proxy.connect()
            writer.write(sent or head.encode())
            writer.write_eof()
            assert await reader.read() == b""
            await until(lambda: not proxy.engine.clients)

    run(situation())


def test_who_leaves_within_an_answer_is_gone() -> None:
    """As before."""
    gone = asyncio.Event()

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(STREAM_HEAD)
        await wire.closed_by_peer()
        gone.set()

    async def situation() -> None:
        async with proxied(script) as (proxy, _):
            reader, writer = await proxy.connect()
            writer.write(request())
            await read_head(reader)
            writer.write_eof()
            await gone.wait()

    run(situation())


def test_chunks_that_wait_for_their_turn_are_read_before_the_end_is_heard_of() -> None:
    """The client has sent all, and ends its side, while another one's chunks are taken apart."""

    async def situation() -> None:
        async with proxied(answer()) as (proxy, upstream):
            long = b"1\r\nx\r\n" * 60_000 + b"0\r\n\r\n"
            head = f"POST /x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
            data = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + long

            async def one() -> bytes:
                reader, writer = await proxy.connect()
                writer.write(data)
                writer.write_eof()
                got = await reader.read()
                writer.close()
                return got

            answers = await asyncio.gather(*(one() for _ in range(3)))
            assert [status(got.removeprefix(CONTINUE)) for got in answers] == [200] * 3
            assert [len(seen.body) for seen in upstream.seen] == [60_000] * 3

    run(situation())
