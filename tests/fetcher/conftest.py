"""The real program as a process of its own, against servers in this one."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests import preloaded
from tests.fetcher.servers import KEY, Hub, Proxy, Server

ROOT = Path(__file__).parents[2]

# Waiting is part of the program, but not of what is tested.
PATIENCE = {"poll": 0.1, "retry": 0.3, "grace": 1.0, "stall": 2.0, "pause": 0.01}
LONG = {**PATIENCE, "grace": 60.0, "stall": 60.0}
"""For Macs that all are there: on a busy machine one may begin a second after another."""
STEADY = {**PATIENCE, "grace": 5.0}
"""Where one is not, and the others are not to be passed over for being slow."""

Done = subprocess.CompletedProcess[str]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def model(hub: Hub, directory: Path, name: str = "tiny", *paths: str) -> dict[str, Any]:
    """What a spec says of the Hub's files, or of some of them."""
    files = [
        {
            "path": path,
            "size": len(hub.files[path]),
            "sha256": sha256(hub.files[path]),
            "url": hub.url_of(path),
        }
        for path in paths or hub.files
    ]
    return {"name": name, "directory": str(directory), "files": files}


def spec(*models: dict[str, Any], connections: int = 1, **more: Any) -> dict[str, Any]:
    """A whole document."""
    return {
        **{"connections": connections, "again": False, "origin": "fetched", "token": None},
        **{"peers": None, "models": list(models), "patience": PATIENCE},
        **more,
    }


def fleet(me: str, others: dict[str, str]) -> dict[str, Any]:
    """The spec's `peers`."""
    told = [{"name": name, "url": url} for name, url in others.items()]
    return {"me": me, "key": KEY, "others": told}


class Program:
    """Starts runs, and ends those that a test leaves."""

    def __init__(self, home: Path) -> None:
        self.started: list[subprocess.Popen[str]] = []
        self.popen: type[subprocess.Popen[str]] = preloaded.Popen
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT), "LC_ALL": "C",
            # Nobody here is known to the world's authorities; to read those is a fifth of a start.
            "SSL_CERT_FILE": os.devnull,
        }  # fmt: skip

    def start(
        self, document: object, arguments: Sequence[str] = (), **options: Any
    ) -> subprocess.Popen[str]:
        """Beside the test."""
        text = document if isinstance(document, str) else json.dumps(document)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **options}
        process = self.popen(
            [sys.executable, "-m", "fetcher", *arguments],
            stdin=subprocess.PIPE, text=True, encoding="utf-8", env=self.environment, **pipes,
        )  # fmt: skip
        assert process.stdin
        process.stdin.write(text)
        process.stdin.close()
        process.stdin = None  # or communicate() would want to flush it
        self.started.append(process)
        # sshd waits for what it started; without that, it would be there as a zombie.
        threading.Thread(target=process.wait, daemon=True).start()
        return process

    def run(self, document: object, timeout: float = 30) -> Done:
        """To its end."""
        process = self.start(document, stderr=subprocess.PIPE)
        output, errors = process.communicate(timeout=timeout)
        return Done(process.args, process.returncode, output, errors)

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe:
                    pipe.close()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path)
    yield program
    program.end()


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    """Those that end with the test."""
    started: list[Server] = []
    yield started
    for server in started:
        server.close()


@pytest.fixture
def serve(servers: list[Server]) -> Callable[[dict[str, bytes]], Hub]:
    """Starts a Hub."""

    def start(files: dict[str, bytes]) -> Hub:
        hub = Hub(files)
        servers.append(hub)
        return hub

    return start


@pytest.fixture
def proxy(servers: list[Server]) -> Callable[[Path], Proxy]:
    """Starts another Mac's proxy."""

    def start(models: Path) -> Proxy:
        server = Proxy(models)
        servers.append(server)
        return server

    return start


def files(directory: Path) -> dict[str, bytes]:
    """All but what is in .herd."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and ".herd" not in path.parts
    }


def kept(directory: Path) -> set[str]:
    """What is in .herd, but the lock."""
    below = directory / ".herd"
    return {str(p.relative_to(below)) for p in below.rglob("*") if p.is_file()} - {"lock"}


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def part_of(directory: Path, path: str, content: bytes) -> Path:
    """Where a file's bytes are while it is unfinished."""
    return directory / f"{path}.{sha256(content)[:12]}.part"


def journal_of(directory: Path, path: str, content: bytes) -> Path:
    return directory / ".herd" / f"{path}.{sha256(content)[:12]}.pieces"


def leave(directory: Path, path: str, content: bytes, *ranges: tuple[int, int]) -> None:
    """What an earlier run left of a file: these ranges, and zeros elsewhere."""
    part = bytearray(max((end for _, end in ranges), default=0))
    for start, end in ranges:
        part[start:end] = content[start:end]
    put(part_of(directory, path, content), bytes(part))
    have = sum(end - start for start, end in ranges)
    told = {"sha256": sha256(content), "size": len(content), "have": have, "ranges": ranges}
    put(journal_of(directory, path, content), json.dumps(told).encode())


def have(directory: Path, path: str, content: bytes) -> int:
    """What the journal says."""
    try:
        told = json.loads(journal_of(directory, path, content).read_text())
    except FileNotFoundError:
        return -1
    return int(told["have"])


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)
