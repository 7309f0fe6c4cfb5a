"""Our scripts run for real here, with small programs on PATH in place of what only a Mac has."""

import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from herd.core import scripts

# macOS has bash 3.2 as /bin/sh, in POSIX mode; /bin/dash can be chosen there, too.
SHELLS = {"sh": ["sh"], "bash": ["bash", "--posix"]}

Done = subprocess.CompletedProcess[str]


class Machine:
    """A home directory and a directory of programs that come first on PATH."""

    def __init__(self, root: Path, shell: Sequence[str]) -> None:
        self.home, self.bin, self.shell = root / "home", root / "bin", list(shell)
        self.home.mkdir()
        self.bin.mkdir()
        self.environment = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "TMPDIR": str(root),
            "LC_ALL": "C.UTF-8",
        }
        self.started: list[subprocess.Popen[str]] = []
        if sys.platform != "darwin":
            self.program("sw_vers", "echo 26.1")
            # Only macOS has BSD's stat; a GNU one would not understand our scripts, nor it -c.
            self.program(
                "stat",
                "links=\n"
                '[ "$1" != -L ] || { links=-L; shift; }\n'
                '[ "$1" = -f ] || { echo "stat: illegal option -- c" >&2; exit 1; }\n'
                "as=$(echo \"$2\" | sed 's/%Mp%Lp/0%a/; s/%Lp/%a/; s/%Su/%U/; s/%z/%s/')\n"
                "as=$(echo \"$as\" | sed 's/%Fm/%.9Y/; s/%N/%n/; s/%m/%Y/'); shift 2\n"
                f'exec {shutil.which("stat")} $links -c "$as" "$@"',
            )
        # Waiting is part of the scripts, but not of what is tested.
        self.program("sleep", f"exec {shutil.which('sleep')} 0.01")

    def program(self, name: str, text: str) -> Path:
        """Put a program on PATH."""
        path = self.bin / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def command(self, name: str, *arguments: object) -> list[str]:
        """As pyinfra sends it: the text of the script, then its arguments."""
        return [*self.shell, "-c", scripts.text(name), name, *map(str, arguments)]

    def run(self, name: str, *arguments: object, stdin: str = "", **variables: str) -> Done:
        """Run a script to its end."""
        return subprocess.run(
            self.command(name, *arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=30,
            env={**self.environment, **variables},
            cwd=self.home,
        )

    def start(self, name: str, *arguments: object, stdin: str = "") -> subprocess.Popen[str]:
        """Run a script beside the test."""
        process = subprocess.Popen(
            self.command(name, *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
            cwd=self.home,
        )
        assert process.stdin
        process.stdin.write(stdin)
        process.stdin.close()
        process.stdin = None  # or communicate() would want to flush it
        self.started.append(process)
        # sshd waits for what it started; without that, it would be there as a zombie.
        threading.Thread(target=process.wait, daemon=True).start()
        return process

    def end(self) -> None:
        """End what still runs."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


def _machine(root: Path, shell: Sequence[str]) -> Iterator[Machine]:
    if not shutil.which(shell[0]):
        pytest.skip(f"there is no {shell[0]} here")
    machine = Machine(root, shell)
    yield machine
    machine.end()


# What the lab's Macs have here as sh is most often dash, so each deploy there is in it.
@pytest.fixture(params=[pytest.param("sh", marks=pytest.mark.soak), "bash"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """A machine for each shell."""
    yield from _machine(tmp_path, SHELLS[request.param])


@pytest.fixture
def one_machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine with the shell that macOS has, for what takes longer or depends on none."""
    yield from _machine(tmp_path, SHELLS["bash" if shutil.which("bash") else "sh"])


class Server:
    """An HTTP server whose answers a test chooses; it notes what it was asked.

    `answer` gets the path and the request's headers, and gives a status and a body, or does it all
    with the handler and gives None.
    """

    def __init__(self, answer: Callable[[str, Any], tuple[int, bytes] | None]) -> None:
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        self.bodies: list[bytes] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = unquote(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                server.bodies.append(self.rfile.read(length))
                server.asked.append((path, dict(self.headers.items())))
                said = answer(path, self)
                if said is not None:
                    status, body = said
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.port = self.http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts servers that end with the test."""
    servers: list[Server] = []

    def start(answer: Callable[[str, Any], tuple[int, bytes] | None]) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def free_port() -> int:
    """A port where nothing listens."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def quoted(path: object) -> str:
    """For use in a program's text."""
    return shlex.quote(str(path))
