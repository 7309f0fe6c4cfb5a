"""`drain`, `maint`, `ready` and `check`, beside a proxy that runs and without one."""

import asyncio
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from proxy.__main__ import main
from proxy.exchange import Reply
from proxy.readiness.service import Service
from tests.proxy.support.policy import ANNA, ROOT
from tests.proxy.support.proxy import Seen, Wire, run, status
from tests.proxy.support.stack import Stack, ask_raw, stack

CHAT = b'{"model": "gpt-oss", "stream": true}'


def chat(key: str = ANNA, path: str = "/v1/chat/completions") -> str:
    return (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        f"Connection: close\r\nContent-Length: {len(CHAT)}\r\n\r\n{CHAT.decode()}"
    )


async def command(directory: Path, *words: str) -> int:
    file = ("--availability", str(directory / "availability.json"))
    return await asyncio.to_thread(main, [*words, *file])


def test_it_imports_nothing_that_serves() -> None:
    """As each restart has two of them, on a Mac that is busy."""
    code = "import sys, proxy.__main__; print(*sys.modules)"
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not {"aiohttp", "asyncio", "yarl"} & set(asked.stdout.split())


class Held:
    """An upstream whose streams go on until told to end."""

    def __init__(self) -> None:
        self.end = asyncio.Event()

    async def __call__(self, seen: Seen, wire: Wire) -> None:
        if seen.line.startswith("GET"):
            await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
            return
        await wire.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
            b"\r\n"
        )
        await wire.chunk(b'data: {"choices":[]}\n\n')
        await self.end.wait()
        await wire.chunk(b"data: [DONE]\n\n")
        await wire.send(b"0\r\n\r\n")


@asynccontextmanager
async def served(directory: Path, held: Held) -> AsyncIterator[Stack]:
    async def ask(method: str, target: str, body: bytes, seconds: float) -> Reply:
        return Reply(status=200, body=b'{"running": [{"model": "gpt", "state": "ready"}]}')

    async with stack(directory, held) as proxy:
        service = Service(proxy.readiness, ask, deadline=1)
        await service.start(None)
        try:
            yield proxy
        finally:
            service.close()


def test_a_drain_lets_streams_finish_and_refuses_what_is_new(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In the client's dialect, with when to come back; and who runs the Mac may try it."""

    async def situation(directory: Path) -> None:
        held = Held()
        async with served(directory, held) as proxy:
            stream = asyncio.create_task(ask_raw(proxy, chat()))
            while not proxy.readiness.open():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert await command(directory, "drain", "--reason", "a disk", "--wait", "0.3") == 1
            assert "drain; 1 request open" in capsys.readouterr().out

            refused = await ask_raw(proxy, chat())
            assert status(refused) == 503
            assert b"Retry-After: 5" in refused
            assert b'"code": "draining"' in refused
            assert b"This server is drained: a disk." in refused
            assert b"overloaded_error" in await ask_raw(proxy, chat(path="/v1/messages"))
            for path, said in (
                ("/readyz", b"503 "), ("/livez", b"200 "), ("/healthz", b"200 "),
            ):  # fmt: skip
                line = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                assert said in await ask_raw(proxy, line), path
            owner = asyncio.create_task(ask_raw(proxy, chat(ROOT)))

            waiting = asyncio.create_task(command(directory, "drain", "--wait", "10"))
            await asyncio.sleep(0.05)
            held.end.set()
            assert await waiting == 0
            assert "drain; no requests open" in capsys.readouterr().out
            assert (await stream).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
            assert status(await owner) == 200

            assert await command(directory, "maint") == 0
            assert status(await ask_raw(proxy, chat(ROOT))) == 503
            assert await command(directory, "ready") == 0
            assert status(await ask_raw(proxy, chat())) == 200
            assert await command(directory, "check") == 0
            assert capsys.readouterr().out.endswith("ready; no requests open\ngpt: answers\n")

    with TemporaryDirectory() as directory:  # a short path, for a socket
        run(situation(Path(directory)))


def test_what_was_let_in_half_is_refused_when_it_is_whole() -> None:
    async def situation(directory: Path) -> None:
        async with served(directory, Held()) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            head, _, body = chat().partition("\r\n\r\n")
            writer.write(f"{head}\r\n\r\n".encode() + body[:3].encode())
            await asyncio.sleep(0.05)
            assert await command(directory, "drain") == 0
            writer.write(body[3:].encode())
            assert status(await reader.read()) == 503
            writer.close()
            assert proxy.upstream.seen == []

    with TemporaryDirectory() as directory:
        run(situation(Path(directory)))


def test_the_socket_is_its_owners_and_gone_with_the_proxy() -> None:
    async def situation(directory: Path) -> None:
        path = directory / "availability.sock"
        with socket.socket(socket.AF_UNIX) as left:  # by one that was killed
            left.bind(str(path))
        async with served(directory, Held()):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert await command(directory, "ready") == 0
        assert not path.exists()

    with TemporaryDirectory() as directory:
        run(situation(Path(directory)))


def test_without_a_proxy_the_word_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["drain", "--wait", "5"]) == 0
    assert "no proxy runs" in capsys.readouterr().out
    assert "drain" in (tmp_path / "availability.json").read_text()
    assert main(["check"]) == 1
    assert main(["ready"]) == 0
    assert not (tmp_path / "availability.json").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("drain", "--reason", "two\nlines"),
        ("drain", "--wait", "soon"),
        ("drain", "--wait", "-1"),
        ("ready", "--reason", "x"),
        ("drain", "--availability", "nowhere/at/all.json"),
    ],
)
def test_a_wrong_word_is_refused(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code: object = main(list(words))
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert list(tmp_path.iterdir()) == []
