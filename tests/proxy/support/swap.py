"""A llama-swap with a model that recites, behind the proxy: the one that LAB_LLAMA_SWAP names, or
the lab's stand-in."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import yaml

from lab.llama_server import write_wrapper
from lab.reciter import write_model
from tests import preloaded

ROOT = Path(__file__).resolve().parents[3]
COMMAND = (
    [os.environ["LAB_LLAMA_SWAP"]]
    if "LAB_LLAMA_SWAP" in os.environ
    else [sys.executable, "-m", "lab.llama_swap"]
)
start = subprocess.Popen if "LAB_LLAMA_SWAP" in os.environ else preloaded.Popen


def free_port() -> int:
    """The first of two ports in a row that nothing listens on."""
    for port in range(21000 + os.getpid() % 10000, 60000, 7):
        with suppress(OSError):
            for each in (port, port + 1):
                with socket.create_server(("127.0.0.1", each)):
                    pass
            return port
    raise OSError("no free ports")


@contextmanager
def llama_swap(directory: Path, models: dict[str, Any], **config: Any) -> Iterator[int]:
    """Its port, once it answers."""
    port = free_port()
    file = directory / "config.yaml"
    file.write_text(yaml.safe_dump({"startPort": port + 1, "models": models, **config}))
    with (directory / "llama-swap.log").open("wb") as log:
        process = start(
            [*COMMAND, "-config", str(file), "-listen", f"127.0.0.1:{port}"],
            cwd=ROOT, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        until_it_answers(f"http://127.0.0.1:{port}/health")
        yield port
    finally:
        process.terminate()
        process.wait(40)


def until_it_answers(url: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while True:
        with suppress(httpx2.TransportError):
            if httpx2.get(url).status_code == 200:
                return
        assert time.monotonic() < end, "llama-swap never came"
        time.sleep(0.05)


def reciter(directory: Path, *options: str, **more: Any) -> dict[str, Any]:
    """A model of llama-server's that has only to be asked."""
    server, splits = directory / "llama-server", write_model(directory / "recite")
    write_wrapper(server)
    words = [server, "--host", "127.0.0.1", "--port", "${PORT}", "-m", splits[0], *options]
    return {
        "cmd": " ".join(map(str, words)), "proxy": "http://127.0.0.1:${PORT}", **more,
    }  # fmt: skip
