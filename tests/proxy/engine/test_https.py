"""The proxy with a certificate: everything that ends, waits or is refused does so under TLS too."""

import asyncio
import json
import logging
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from proxy import certificate as certificates
from proxy.certificate import Certificate
from proxy.limits import Limits
from tests.proxy.support.proxy import (
    KEY,
    STREAM_HEAD,
    Seen,
    Wire,
    answer,
    body,
    config_file,
    headers,
    program,
    read_head,
    run,
    status,
    until,
)
from tests.proxy.support.tls import make, secured, trusting

QUICK = Limits(
    head_seconds=0.4, idle_seconds=0.6, body_seconds=0.4, send_seconds=0.5, clock_seconds=0.05
)
EVENT = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{"content":"%d"}}]}\n\n'
)


async def counting(_: Seen, wire: Wire) -> None:
    await wire.send(STREAM_HEAD)
    for number in range(20):
        await wire.chunk(EVENT % number)
        await asyncio.sleep(0.005)
    await wire.chunk(b"data: [DONE]\n\n")
    await wire.send(b"0\r\n\r\n")


def test_openai_client_streams(tmp_path: Path) -> None:
    """Byte-exact, event by event, and llama-swap is told how the client came."""

    async def situation() -> None:
        async with secured(tmp_path, counting) as (proxy, upstream):
            client = openai.AsyncOpenAI(
                base_url=f"https://127.0.0.1:{proxy.port}/v1",
                api_key=KEY,
                max_retries=0,
                http_client=openai.DefaultAsyncHttpxClient(verify=trusting(tmp_path)),
            )
            stream = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "Hello"}], stream=True
            )
            parts = [event.choices[0].delta.content async for event in stream]

            assert parts == [str(number) for number in range(20)]
            assert upstream.seen[0].all("X-Forwarded-Proto") == ["https"]
            await client.close()

    run(situation())


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.parametrize("options", [(), ("--http1.0",), ("--tls-max", "1.2")])
def test_curl_streams(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Without a warning at the end of the connection."""

    async def situation() -> None:
        async with secured(tmp_path, counting) as (proxy, _):
            process = await asyncio.create_subprocess_exec(
                "curl", "-sSN", "--fail", "--cacert", tmp_path / "cert.pem", *options,
                "--resolve", f"localhost:{proxy.port}:127.0.0.1",
                "-H", f"Authorization: Bearer {KEY}", "-d", "{}",
                f"https://localhost:{proxy.port}/v1/chat/completions",
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            out, err = await process.communicate()

            events = b"".join(EVENT % number for number in range(20))
            assert (out, err) == (events + b"data: [DONE]\n\n", b"")

    run(situation())


def test_failed_handshakes_leave_nothing_behind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Plain HTTP, a client that trusts nobody, one that leaves: none is counted or logged."""

    async def situation() -> None:
        async with secured(tmp_path, answer()) as (proxy, upstream):
            reader, writer = await proxy.connect_in_plain()
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"HTTP" not in await reader.read()
            writer.close()
            with pytest.raises(ssl.SSLError):
                await asyncio.open_connection(
                    "127.0.0.1", proxy.port, ssl=ssl.create_default_context()
                )
            _, writer = await proxy.connect_in_plain()
            writer.transport.abort()
            await until(lambda: not proxy.engine.clients)
            assert not upstream.connections

    with caplog.at_level(logging.WARNING):
        run(situation())
    assert not caplog.records


@pytest.mark.parametrize("how", ["goodbye", "reset"])
def test_client_that_leaves_before_the_first_token_stops_the_upstream(
    tmp_path: Path, how: str
) -> None:
    """At once, with or without the goodbye of TLS."""
    told = asyncio.Event()

    async def script(_: Seen, wire: Wire) -> None:
        await wire.closed_by_peer()
        told.set()

    async def situation() -> None:
        async with secured(tmp_path, script) as (proxy, upstream):
            _, writer = await proxy.begin(head="Content-Length: 0\r\n")
            await until(lambda: upstream.seen)
            if how == "goodbye":
                writer.close()
            else:
                reset(writer)
            await asyncio.wait_for(told.wait(), 1)
            await until(lambda: not proxy.engine.clients)

    run(situation())


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_upstream_that_dies_mid_stream_is_no_clean_end(tmp_path: Path, version: str) -> None:
    """For HTTP/1.0 neither, where a goodbye would be one."""

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(STREAM_HEAD)
        await wire.chunk(b"data: 1\n\n")
        await asyncio.sleep(0.1)
        wire.die()

    async def situation() -> None:
        async with secured(tmp_path, script) as (proxy, _):
            reader, writer = await proxy.begin(f"POST / HTTP/{version}", "Content-Length: 0\r\n")
            got = await reader.readuntil(b"data: 1\n\n")
            assert status(got) == 200
            if version == "1.0":
                with pytest.raises(ConnectionResetError):
                    await reader.read()
            else:
                assert await reader.read() == b"\r\n", "no last chunk"
            writer.close()

    run(situation())


def test_slow_client_holds_the_upstream_back_and_is_let_go_in_the_end(tmp_path: Path) -> None:
    """Memory is bounded, and so is the time."""
    sent, stopped = 0, asyncio.Event()

    async def script(_: Seen, wire: Wire) -> None:
        nonlocal sent
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            while True:
                await wire.send(b"x" * 65536)
                sent += 65536
        except ConnectionError:
            stopped.set()

    async def situation() -> None:
        async with secured(tmp_path, script, QUICK) as (proxy, _):
            _, writer = await proxy.begin(head="Content-Length: 0\r\n")
            writer.transport.pause_reading()
            async with asyncio.timeout(8):
                await stopped.wait()
            assert sent < 40_000_000
            await until(lambda: not proxy.engine.clients)
            writer.transport.abort()

    run(situation())


def test_slow_client_gets_all_of_an_answer_whose_connection_ends(tmp_path: Path) -> None:
    """The goodbye of TLS waits for what was written before."""
    content = b"0123456789" * 100_000

    async def situation() -> None:
        limits = Limits(send_seconds=2, clock_seconds=0.05)
        async with secured(tmp_path, answer(body=content), limits) as (proxy, _):
            reader, writer = await proxy.begin("GET / HTTP/1.1", "Connection: close\r\n")
            writer.transport.pause_reading()
            await asyncio.sleep(1)
            writer.transport.resume_reading()
            assert body(await reader.read()) == content
            writer.close()

    run(situation())


def test_client_that_never_says_goodbye_is_let_go(tmp_path: Path) -> None:
    """TLS has an end to which the other side should reply."""

    def hold_on(port: int, context: ssl.SSLContext) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
            client = context.wrap_socket(plain, server_hostname="localhost")
            client.sendall(
                f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
                "Connection: close\r\n\r\n".encode()
            )
            got = client.recv(65536)
            bare = socket.socket(fileno=client.detach())
            bare.settimeout(5)
            try:
                while bare.recv(65536):
                    pass
            except ConnectionResetError:
                pass
            bare.close()
            return got

    async def situation() -> None:
        async with secured(tmp_path, answer(), QUICK) as (proxy, _):
            async with asyncio.timeout(3):
                got = await asyncio.to_thread(hold_on, proxy.port, trusting(tmp_path))
            assert status(got) == 200
            await until(lambda: not proxy.engine.clients)

    run(situation())


def test_client_that_leaves_an_upload_nobody_takes_is_noticed(tmp_path: Path) -> None:
    """It is not read from, so nobody would see its goodbye."""
    told = asyncio.Event()

    async def script(_: Seen, wire: Wire) -> None:
        wire.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(1)
        wire.reader._transport.resume_reading()  # type: ignore[attr-defined]
        await wire.closed_by_peer()
        told.set()

    async def situation() -> None:
        limits = Limits(clock_seconds=0.05)
        async with secured(tmp_path, script, limits, reads_body=False) as (proxy, _):
            _, writer = await proxy.begin(head="Content-Length: 50000000\r\n")
            writer.write(b"x" * 50_000_000)
            await until(lambda: any(client.wire.paused for client in clients(proxy.engine.clients)))
            reset(writer)
            await until(lambda: not proxy.engine.clients, 0.5)
            await asyncio.wait_for(told.wait(), 3)

    run(situation())


def reset(writer: asyncio.StreamWriter) -> None:
    peer = writer.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def clients(found: set) -> Iterator:  # type: ignore[type-arg]
    return (client for client in found if hasattr(client, "wire"))


def test_refusals_reach_a_client_that_goes_on_sending(tmp_path: Path) -> None:
    """The rest is read and forgotten, for closing over it would reset the connection."""

    async def situation() -> None:
        async with secured(tmp_path, answer(), QUICK) as (proxy, upstream):
            for head, code in (
                ("Content-Length: 99999999999\r\n", 413),
                ("X-Long: " + "a" * 70_000 + "\r\n", 431),
                ("Expect: 100-continue\r\nContent-Length: 5\r\nUpgrade: websocket\r\n", 426),
            ):
                reader, writer = await proxy.begin(head=head)
                for _ in range(20):
                    writer.write(b"x" * 10_000)
                got = await read_head(reader)
                assert status(got) == code
                assert headers(got)["connection"] == "close"
                writer.close()
            assert not upstream.seen

    run(situation())


def test_connection_is_used_again_and_ends_when_idle(tmp_path: Path) -> None:
    """With a goodbye, for nothing was cut."""

    async def situation() -> None:
        async with secured(tmp_path, answer(body=b"ok"), QUICK) as (proxy, upstream):
            reader, writer = await proxy.connect()
            for _ in range(3):
                writer.write(
                    f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
                )
                assert status(await read_head(reader)) == 200
                assert await reader.readexactly(2) == b"ok"
            [client] = clients(proxy.engine.clients)
            peer = client.transport.get_extra_info("socket")
            assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            async with asyncio.timeout(3):
                assert await reader.read() == b""
            writer.close()
            assert (upstream.connections, len(upstream.seen)) == (1, 3)

    run(situation())


def test_renewed_certificate_is_taken_on_hangup_and_streams_live_on(tmp_path: Path) -> None:
    """The program, with a stream open across the renewal."""
    make(tmp_path, "old.example")
    config = config_file(tmp_path, KEY)
    with socket.create_server(("127.0.0.1", 0)) as above:
        above.settimeout(5)
        url = f"http://127.0.0.1:{above.getsockname()[1]}"
        options = ("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"))
        with program("--upstream", url, *options, config=config) as process:
            assert process.stderr
            line = process.stderr.readline()
            assert " with TLS, " in line
            port = int(line.split("listening on 127.0.0.1:")[1].split()[0])
            stream, name = shake_hands(port)
            assert "old.example" in name
            stream.sendall(
                b"GET /props?model=m HTTP/1.1\r\nHost: x\r\n"
                b"Authorization: Bearer %b\r\n\r\n" % KEY.encode()
            )
            upstream, _ = above.accept()
            upstream.recv(65536)
            upstream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1")
            got = stream.recv(65536)
            make(tmp_path, "new.example")
            process.send_signal(signal.SIGHUP)
            while "certificate read again" not in process.stderr.readline():
                pass
            fresh, name = shake_hands(port)
            assert "new.example" in name
            upstream.sendall(b"2")
            while not got.endswith(b"12"):
                got += stream.recv(65536)
            for connection in (fresh, stream, upstream):
                connection.close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == 0


def shake_hands(port: int) -> tuple[ssl.SSLSocket, str]:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", port), timeout=5)
    client = context.wrap_socket(plain)
    der = client.getpeercert(binary_form=True)
    text = subprocess.run(
        ["openssl", "x509", "-inform", "der", "-noout", "-subject"],
        input=der, capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    return client, text


def test_renewed_certificate_is_taken_without_being_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The look at the files is repeated."""
    monkeypatch.setattr(certificates, "RENEW_SECONDS", 0.05)
    make(tmp_path, "old.example")
    certificate = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")

    async def situation() -> None:
        task = asyncio.create_task(certificate.renew_often())
        await asyncio.sleep(0.1)
        await asyncio.to_thread(make, tmp_path, "new.example")
        await until(lambda: "certificate read again" in caplog.text)
        task.cancel()

    with caplog.at_level(logging.INFO):
        run(situation())


def test_end_is_not_held_up_by_idle_clients(tmp_path: Path) -> None:
    """Exit code 0, and soon."""
    make(tmp_path, "localhost")
    config = config_file(tmp_path, KEY)
    options = ("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"))
    with program(*options, config=config) as process:
        assert process.stderr
        port = int(process.stderr.readline().split("listening on 127.0.0.1:")[1].split()[0])
        idle, _ = shake_hands(port)
        silent = socket.create_connection(("127.0.0.1", port))
        time.sleep(0.2)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)

        assert process.wait(5) == 0
        assert time.monotonic() - started < 1.5
        idle.close()
        silent.close()


def test_body_is_asked_for_under_tls_too(tmp_path: Path) -> None:
    """100 Continue, behind the check of the key."""

    async def situation() -> None:
        async with secured(tmp_path, answer()) as (proxy, upstream):
            head = "Expect: 100-continue\r\nContent-Length: 2\r\n"
            reader, writer = await proxy.begin(head=head)
            assert status(await read_head(reader)) == 100
            writer.write(json.dumps({}).encode())
            assert status(await read_head(reader)) == 200
            assert upstream.seen[0].body == b"{}"
            writer.close()

    run(situation())
