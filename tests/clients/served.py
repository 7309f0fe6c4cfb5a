"""A deployed Mac of the lab for real clients: its address, its keys, and what its proxy noted."""

import hashlib
import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clients.page import MODEL
from tests.e2e.fleet import Fleet

NAME = "recite"
CONTEXT = 262144  # a token is a byte here, and agents begin with up to 100 KB
KEYS = {name: f"sk-test-EXAMPLE-not-a-secret-{name}-0123456789" for name in ("me", "busy", "spent")}
WRONG = "sk-test-EXAMPLE-not-a-secret-nobodys-0123456789"


class Served:
    """The proxy in front of llama-swap and llama-server, as a deploy left them."""

    def __init__(self, directory: Path) -> None:
        self._fleet = Fleet(directory, "mac1")
        mac = self._fleet["mac1"]
        model = {"ctx_size": CONTEXT, "parallel": 1, "aliases": [MODEL], "ttl": 0}
        run = self._fleet.deploy(mac1={"models": {NAME: model}, "api_keys": _entries()})
        assert run.code == 0, run.err
        self.port = mac.ports["proxy"]
        self.address = f"http://127.0.0.1:{self.port}"
        self.llama_swap = self._fleet.lab.llama_swap
        self._log = mac.home / "llama-swap/proxy.log"
        self._fleet.says(key=KEYS["spent"])

    def stop(self) -> None:
        self._fleet.stop()

    def requests(self, key: str) -> list[tuple[str, int, str]]:
        """Path, status and model of each request with a key, by the proxy's log, oldest first."""
        found = re.findall(
            rf" access .* key={key} .*path=(\S+) status=(\d+)(?:.* model=(\S+))?",
            self._log.read_text(),
        )
        return [(path, int(status), model) for path, status, model in found]

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """The key `busy`, which may ask for one thing at once, has a stream that nobody reads."""
        body = json.dumps(
            {
                "model": NAME,
                "stream": True,
                "ignore_eos": True,
                "max_tokens": 10_000,
                "logprobs": True,
                "top_logprobs": 20,
                "messages": [{"role": "user", "content": "Hello"}],
            }
        ).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEYS['busy']}"
            f"\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        # As little room as there can be, and tokens of 2 kB, so that the model waits for ever.
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(60)
            connection.connect(("127.0.0.1", self.port))
            connection.sendall(head.encode() + body)
            assert connection.recv(12) == b"HTTP/1.1 200"
            yield

    def await_refusal(self, seen: int, client: "subprocess.Popen[str]", seconds: float) -> None:
        """Until the log has a 429 of `busy` after its first `seen` requests, or the client ends."""
        end = time.monotonic() + seconds
        while not any(status == 429 for _, status, _ in self.requests("busy")[seen:]):
            if client.poll() is not None or time.monotonic() > end:
                return
            time.sleep(0.05)


def _entries() -> list[dict[str, object]]:
    limits: dict[str, dict[str, int]] = {"busy": {"parallel": 1}, "spent": {"tpd": 1}}
    return [
        {"name": name, "sha256": hashlib.sha256(key.encode()).hexdigest()} | limits.get(name, {})
        for name, key in KEYS.items()
    ]
