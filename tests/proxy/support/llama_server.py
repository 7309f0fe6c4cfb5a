"""A real llama-server with a small model, where there is one that can run here."""

import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.llama_server import lacks, write_wrapper
from lab.reciter import write_model
from tests.proxy.support.policy import until


@contextmanager
def llama_server(directory: Path, *options: str) -> Iterator[int]:
    """Its port, once it is ready; without one the test is skipped, with the reason."""
    if missing := lacks():
        pytest.skip(missing)
    wrapper = directory / "llama-server"
    write_wrapper(wrapper, "transition")
    model = write_model(directory / "model")[0]
    with socket.create_server(("127.0.0.1", 0)) as probe:
        number = int(probe.getsockname()[1])
    log = directory / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [wrapper, "-m", model, "--port", str(number), "--metrics", *options],
            stdout=file, stderr=file,
        )  # fmt: skip
    try:
        until(lambda: process.poll() is not None or _is_ready(number), 60)
        assert process.poll() is None, log.read_text(errors="replace")
        yield number
    finally:
        process.terminate()
        process.wait(20)


def get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return str(answer.read().decode())


def _is_ready(port: int) -> bool:
    try:
        return "ok" in get(port, "/health")
    except OSError:
        return False
