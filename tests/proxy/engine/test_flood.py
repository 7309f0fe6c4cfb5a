"""Thousands of connections against the program itself: good clients are served meanwhile."""

import asyncio
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proxy.support.proxy import (
    KEY,
    ROOT,
    Upstream,
    answer,
    command,
    config_file,
    listening,
    read_head,
    run,
    status,
)
from tests.proxy.support.tls import make, trusting

FLOOD = int(os.environ.get("PROXY_FLOOD", "4200"))
GOOD = (
    f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
    'Content-Type: application/json\r\nContent-Length: 13\r\n\r\n{"model":"m"}'
).encode()

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
def many_files() -> Iterator[None]:
    """This process holds all of them open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FLOOD + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"{wanted} open files are needed, and this machine allows {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def started(
    directory: Path, upstream: int, *options: str, most_files: int | None = None
) -> tuple[asyncio.subprocess.Process, int]:
    """The program, and where it listens."""

    def few() -> None:
        if most_files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))

    process = await asyncio.create_subprocess_exec(
        *command("serve", "--config", str(config_file(directory, KEY))),
        "--listen", "127.0.0.1:0", "--upstream", f"http://127.0.0.1:{upstream}", *options,
        cwd=ROOT, stderr=subprocess.PIPE, preexec_fn=few,
    )  # fmt: skip
    assert process.stderr
    while b"listening on" not in (line := await process.stderr.readline()):
        assert line, "it ended"
    port = int(line.split(b"listening on 127.0.0.1:")[1].split(b",")[0].split()[0])
    return process, port


async def served(streams: Streams) -> float:
    """Seconds that one request took."""
    began = time.monotonic()
    streams[1].write(GOOD)
    head = await read_head(streams[0])
    assert status(head) == 200
    await streams[0].readexactly(2)
    return time.monotonic() - began


async def flood(port: int, sent: bytes, held: list[Streams]) -> None:
    for _ in range(FLOOD):
        try:
            streams = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        streams[1].write(sent)
        held.append(streams)


def open_files(process: int) -> int:
    return len(os.listdir(f"/proc/{process}/fd"))


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="it counts files in /proc")
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: 123456\r\n"], ids=["idle", "40 bytes"]
)
def test_good_clients_are_served_during_a_flood(
    tmp_path: Path, many_files: None, secure: bool, sent: bytes
) -> None:
    """One that was there before, and new ones, from the very address of the flood."""
    run(situation(tmp_path, secure, sent), 120)


async def situation(directory: Path, secure: bool, sent: bytes) -> None:
    options: tuple[str, ...] = ()
    context = None
    if secure:
        make(directory, "localhost")
        options = ("--tls-cert", f"{directory}/cert.pem", "--tls-key", f"{directory}/key.pem")
        context = trusting(directory)
    name = "localhost" if secure else None
    async with listening(Upstream(answer())) as upstream:
        process, port = await started(directory, upstream.port, *options)
        log = asyncio.create_task(process.stderr.read())  # type: ignore[union-attr]
        try:

            async def connect() -> Streams:
                return await asyncio.open_connection(
                    "127.0.0.1", port, ssl=context, server_hostname=name
                )

            before = await connect()
            await served(before)
            held: list[Streams] = []
            attack = asyncio.create_task(flood(port, sent, held))
            times, most = [], 0
            while not attack.done() or len(times) < 10:
                times.append(await served(before))
                began = time.monotonic()
                fresh = await connect()
                await served(fresh)
                times.append(time.monotonic() - began)
                fresh[1].close()
                most = max(most, open_files(process.pid))
                await asyncio.sleep(0.05)
            times.sort()
            print(f"{len(held)} came, {most} files at most, {len(times)} good requests, "
                  f"median {times[len(times) // 2]:.3f} s, longest {times[-1]:.3f} s")  # fmt: skip
            assert len(held) > FLOOD * 0.9
            assert most < 1500
            assert times[len(times) // 2] < 1
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 10) == 0
            lines = (await log).decode().splitlines()
            assert not [line for line in lines if "Traceback" in line or "bug" in line]
            for _, writer in held:
                writer.transport.abort()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="it counts files in /proc")
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_program_with_few_files_takes_fewer_connections(tmp_path: Path, secure: bool) -> None:
    """And never runs out of them, however many come."""

    async def few() -> None:
        options: tuple[str, ...] = ()
        if secure:
            make(tmp_path, "localhost")
            options = ("--tls-cert", f"{tmp_path}/cert.pem", "--tls-key", f"{tmp_path}/key.pem")
        context = trusting(tmp_path) if secure else None
        async with listening(Upstream(answer())) as upstream:
            process, port = await started(tmp_path, upstream.port, *options, most_files=256)
            try:
                crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(300)]
                good = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=context,
                    server_hostname="localhost" if secure else None,
                )  # fmt: skip
                assert await served(good) < 2
                assert open_files(process.pid) < 200
                for _, writer in [*crowd, good]:
                    writer.transport.abort()
                process.terminate()
                assert process.stderr
                assert b"cannot take" not in await process.stderr.read()
            finally:
                if process.returncode is None:
                    process.kill()
                await process.wait()

    run(few(), 30)
