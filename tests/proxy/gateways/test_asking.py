"""One gateway asks another: what is believed of an answer, and what is said of one that is none."""

import asyncio
import json
import logging
import ssl
import time
from pathlib import Path

import pytest

from proxy.gateways import asking
from proxy.gateways.answering import Answering
from proxy.gateways.asking import Asking
from proxy.gateways.message import PATH
from proxy.keys.key import Limits
from proxy.keys.shared_limits import SharedMeters
from tests.proxy.support.proxy import Script, Seen, Upstream, Wire, answer, listening, run, until
from tests.proxy.support.tls import make

LIMITS = {"anna": Limits(parallel=1)}
KEY = "f" * 64
OTHERS = "0123456789abcdef"


def meters() -> SharedMeters:
    return SharedMeters(lambda _: 0)


def asked(tmp_path: Path, url: str, own: SharedMeters, *pems: Path) -> Asking:
    key = tmp_path / "gateway.key"
    key.write_text(f"{KEY}\n")

    def trusted() -> ssl.SSLContext:
        return ssl.create_default_context(cafile=pems[0] if pems else None)

    return Asking("gateway-gw2", url, key, trusted, own, LIMITS.get, time.monotonic)


def body(**changed: object) -> bytes:
    numbers = [1, 1, 0, 0, 0, 0, 0]
    return json.dumps({"epoch": OTHERS, "at": 3, "limits": {"anna": numbers}, **changed}).encode()


def test_it_shows_its_key_and_asks_on_from_what_it_heard(tmp_path: Path) -> None:
    async def situation() -> None:
        own = meters()
        async with listening(Upstream(answer(body=body()))) as other:
            task = asyncio.create_task(asked(tmp_path, url(other), own).run())
            await until(lambda: len(other.seen) > 2)
            task.cancel()
        lines = [seen.line for seen in other.seen]
        assert lines[:2] == [f"GET {PATH} HTTP/1.1", f"GET {PATH}?after={OTHERS}.3 HTTP/1.1"]
        assert {*other.seen[0].all("Authorization")} == {f"Bearer {KEY}"}
        assert other.connections == 1

    run(situation())


def url(other: Upstream, scheme: str = "http", host: str = "127.0.0.1") -> str:
    return f"{scheme}://{host}:{other.port}"


async def silent(_: Seen, wire: Wire) -> None:
    await wire.closed_by_peer()


async def gone(_: Seen, wire: Wire) -> None:
    wire.die()


async def chunked(_: Seen, wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    await wire.chunk(body())
    await wire.chunk(b"")


async def endless(_: Seen, wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")
    await wire.send(b"x" * 1000)
    await wire.closed_by_peer()


NONE = "its answer is none"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (answer(status="401 Unauthorized"), "it does not know the key of this gateway"),
        (answer(status="404 Not Found"), "it shares no limits"),
        (answer(status="500 Oops"), "it answers 500"),
        (answer("Location: /elsewhere\r\n", status="302 Found"), "it answers 302"),
        (answer(body=b"<html>"), NONE),
        (answer(body=body(at=-1)), NONE),
        (answer("Content-Encoding: gzip\r\n", body=b"\x1f\x8b"), NONE),
        (chunked, NONE),
        (endless, NONE),
        (silent, "it does not answer"),
        (gone, "it cannot be asked"),
    ],
)
def test_what_is_no_answer_is_said_once_and_counts_for_nothing(
    script: Script, why: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(asking, "NONSENSE_SECONDS", 0.01)
    monkeypatch.setattr(asking, "AGAIN_SECONDS", 0.01)
    caplog.set_level(logging.INFO, "proxy.gateways")

    async def situation() -> None:
        own = meters()
        ours = own.of("anna", LIMITS["anna"], 0, 0)
        async with listening(Upstream(script)) as other:
            one = asked(tmp_path, url(other), own)
            task = asyncio.create_task(one.run())
            await until(lambda: len(other.seen) > 2)
            await until(lambda: caplog.messages)
            task.cancel()
        assert not one.heard
        assert ours.elsewhere == 0

    run(situation())
    (said,) = caplog.messages
    assert said.startswith("gateway-gw2 is not heard, so a key's limits hold at each: ")
    assert why in said or (script is gone and "it ended the connection" in said)


def test_an_address_that_leads_back_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As a name that moves between gateways does."""
    own = meters()
    told = body(epoch=own.now.epoch)

    async def situation() -> None:
        async with listening(Upstream(answer(body=told))) as other:
            task = asyncio.create_task(asked(tmp_path, url(other), own).run())
            await until(lambda: caplog.messages)
            task.cancel()

    run(situation())
    assert "its address leads to this gateway itself" in caplog.text


@pytest.mark.parametrize("believed", [True, False])
def test_its_certificate_is_looked_at(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, believed: bool
) -> None:
    caplog.set_level(logging.INFO, "proxy.gateways")
    make(tmp_path, "localhost")

    async def situation() -> None:
        other = Upstream(answer(body=body()))
        server = await asyncio.start_server(other.serve, "127.0.0.1", 0, ssl=_served(tmp_path))
        other.port = server.sockets[0].getsockname()[1]
        believe = (tmp_path / "cert.pem",) if believed else ()
        one = asked(tmp_path, url(other, "https", "localhost"), meters(), *believe)
        task = asyncio.create_task(one.run())
        await until(lambda: caplog.messages)
        task.cancel()
        server.close()
        assert one.heard is believed
        assert bool(other.seen) is believed  # the key is shown to nobody else

    run(situation())
    word = "is heard" if believed else "its certificate is none that is believed"
    assert word in caplog.text


def _served(directory: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    return context


def test_who_asks_is_answered_at_once_when_there_is_news() -> None:
    """And else after a while, that there is none."""

    async def situation() -> None:
        own = meters()
        answering = Answering(own, time.monotonic)
        first = json.loads(await answering.answer(""))
        assert first["limits"] == {}
        after = f"after={first['epoch']}.{first['at']}"
        waiting = asyncio.create_task(answering.answer(after))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        own.of("anna", LIMITS["anna"], 0, 0).enter(0, 0)
        told = json.loads(await asyncio.wait_for(waiting, 1))
        assert told["limits"]["anna"][:2] == [1, 1]
        last = asyncio.create_task(answering.answer(f"after={told['epoch']}.{told['at']}"))
        await asyncio.sleep(0)
        answering.end()
        assert json.loads(await asyncio.wait_for(last, 1))["limits"] == {}

    run(situation())
