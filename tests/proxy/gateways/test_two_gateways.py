"""Two proxies as gateways of one herd: what a key has, it has once."""

import hashlib
import json
import re
import secrets
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from proxy.gateways.message import PATH
from tests.proxy.support.policy import METER, ROOT, entry, until
from tests.proxy.support.proxy import program

KEYS = {
    name: f"sk-herd-{name}-0123456789-abcdefghijklmnop"
    for name in ("rpm", "tpm", "tpd", "parallel", "dark", "minute", "free")
}
MANY = 10**6
LIMITS: dict[str, dict[str, int]] = {
    "rpm": {"rpm": 2},
    "tpm": {"tpm": 600},
    "tpd": {"tpd": MANY},
    "parallel": {"parallel": 2},
    "dark": {"parallel": 2, "tpd": MANY},
    "minute": {"tpm": 600},
    "free": {},
}


class Herd(BaseHTTPRequestHandler):
    """Stands in for HAProxy and the Macs: an answer took as many tokens as it is asked for, and
    one to `slow` comes when it may."""

    release = threading.Event()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked["model"] == "slow":
            self.release.wait(30)
        usage = {"prompt_tokens": 0, "completion_tokens": asked["max_tokens"]}
        body = json.dumps({"choices": [], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...


class Gateway:
    """A proxy of its own, with its key and what it knows of the other."""

    def __init__(self, name: str, directory: Path, upstream: str) -> None:
        self.name, self.directory, self.upstream = name, directory, upstream
        self.key = secrets.token_hex(32)
        self.port = 0
        self.lines: list[str] = []
        self._stack = ExitStack()
        directory.mkdir()
        (directory / "gateway.key").write_text(self.key)
        entries = [entry(name, key, **LIMITS[name]) for name, key in KEYS.items()]
        entries += [
            entry("meter", METER, scopes=["metrics"]),
            entry("root", ROOT, scopes=["admin"]),
        ]
        (directory / "config.json").write_text(json.dumps({"apiKeys": entries}))

    def start(self) -> None:
        here = self.directory
        self.process: subprocess.Popen[str] = self._stack.enter_context(
            program(
                *("--gateway", "--upstream", self.upstream),
                *("--upstream-key-file", str(here / "gateway.key")),
                *("--other-gateways", str(here / "others.json")),
                config=here / "config.json",
            )
        )
        assert self.process.stderr
        self.lines = []
        for line in self.process.stderr:
            self.lines.append(line)
            if found := re.search(r"listening on \S+:(\d+),", line):
                self.port = int(found[1])
                break
        self._reader = threading.Thread(target=self._read, args=(self.process.stderr,))
        self._reader.start()

    def _read(self, log: Any) -> None:
        self.lines += log

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self._reader.join()
        self._stack.close()

    def knows(self, other: "Gateway", *, key: str | None = None) -> None:
        name = f"gateway-{other.name}"
        digest = hashlib.sha256((key or other.key).encode()).hexdigest()
        told = {
            "apiKeys": [{"name": name, "sha256": digest}],
            "urls": {name: f"http://127.0.0.1:{other.port}"},
        }
        path = self.directory / "others.json"
        path.with_suffix(".new").write_text(json.dumps(told))
        path.with_suffix(".new").rename(path)
        self.process.send_signal(signal.SIGHUP)

    def ask(self, key: str, tokens: int = 1, model: str = "quick") -> int:
        body = {"model": model, "messages": [], "max_tokens": tokens}
        return self._open("/v1/chat/completions", KEYS[key], json.dumps(body).encode())[0]

    def begin(self, key: str) -> threading.Thread:
        """One that stays open."""
        thread = threading.Thread(target=self.ask, args=(key, 1, "slow"))
        thread.start()
        return thread

    def get(self, path: str, key: str) -> tuple[int, str]:
        return self._open(path, key, None)

    def _open(self, path: str, key: str, body: bytes | None) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=40) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()
        except OSError:
            return 0, ""

    def told(self, key: str, by: "Gateway") -> list[float]:
        """What it says of a limit, to who has the other one's key."""
        status, text = self.get(PATH, by.key)
        assert status == 200
        numbers: list[float] = json.loads(text)["limits"].get(key, [0] * 7)
        return numbers

    def hears(self) -> bool:
        text = self.get("/metrics", METER)[1]
        return re.search(r'proxy_gateway_heard\{gateway="gateway-gw."\} 1\.0', text) is not None

    def used(self, key: str) -> int:
        """By its own books."""
        rows = json.loads(self.get(f"/admin/usage?key={key}", ROOT)[1])["data"]
        return sum(row["prompt"] + row["completion"] for row in rows)


Pair = tuple[Gateway, Gateway]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two that hear each other."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Herd)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever).start()
    upstream = f"http://127.0.0.1:{server.server_port}"
    folder = tmp_path_factory.mktemp("gateways")
    one, two = (Gateway(name, folder / name, upstream) for name in ("gw1", "gw2"))
    for each in (one, two):
        each.start()
    meet(one, two)
    yield one, two
    Herd.release.set()
    for each in (one, two):
        each.stop()
    server.shutdown()
    server.server_close()


def meet(one: Gateway, two: Gateway) -> None:
    one.knows(two)
    two.knows(one)
    until(lambda: one.hears() and two.hears(), 20)


def test_requests_of_a_minute_are_let_in_once(pair: Pair) -> None:
    """By whichever."""
    one, two = pair
    assert [one.ask("rpm") for _ in range(3)] == [200, 200, 429]
    until(lambda: two.told("rpm", one)[5] > 1)

    assert two.ask("rpm") == 429


def test_tokens_of_a_minute_are_let_in_once(pair: Pair) -> None:
    one, two = pair
    assert two.ask("tpm", tokens=6000) == 200
    until(lambda: one.told("tpm", two)[6] > 600)

    assert one.ask("tpm") == 429


def test_tokens_of_a_day_are_let_in_once(pair: Pair) -> None:
    one, two = pair
    assert one.ask("tpd", tokens=MANY) == 200

    until(lambda: two.ask("tpd") == 429)
    assert two.told("tpd", one)[4] < 1000  # by far not used here


def test_requests_at_once_are_let_in_once(pair: Pair) -> None:
    one, two = pair
    waiting = [one.begin("parallel"), one.begin("parallel")]
    until(lambda: one.told("parallel", two)[0] == 2)
    until(lambda: two.ask("parallel") == 429)

    Herd.release.set()
    for each in waiting:
        each.join()
    Herd.release.clear()
    until(lambda: two.ask("parallel") == 200)


def test_the_books_are_of_each_alone(pair: Pair) -> None:
    one, two = pair
    assert two.ask("free", tokens=77) == 200
    until(lambda: two.used("free") == 77)
    assert one.used("free") == 0


def test_nobody_else_is_told_and_it_opens_nothing_else(pair: Pair) -> None:
    one, two = pair

    assert one.get(PATH, "f" * 64)[0] == 401
    assert one.get(PATH, one.key)[0] == 401  # its own is of no use there
    assert [one.get(PATH, key)[0] for key in (KEYS["free"], METER, ROOT)] == [404] * 3
    assert one.get(f"{PATH}?after=x", two.key)[0] == 400
    for path in ("/metrics", "/admin/usage", "/v1/models", "/haproxy", "/files"):
        assert one.get(path, two.key)[0] in (403, 404), path
    assert PATH not in "".join(line for line in one.lines if "status=200" in line)


def test_one_that_is_killed_has_nothing_open_and_comes_again_with_what_is_left(pair: Pair) -> None:
    one, two = pair
    assert one.ask("dark", tokens=MANY // 2) == 200
    assert one.ask("minute", tokens=60_000) == 200
    waiting = [one.begin("dark"), one.begin("dark")]
    until(lambda: two.told("minute", one)[6] > 600)
    until(lambda: one.told("dark", two)[0] == 2)  # or one of ours could take the second's place
    until(lambda: two.ask("dark") == 429)
    until(lambda: one.used("dark") >= MANY // 2)
    one.stop()
    for each in waiting:
        each.join()

    until(lambda: two.ask("dark", tokens=MANY // 2) == 200)  # nothing is open there any more
    assert two.ask("dark") == 429  # with what was used there of the day
    one.start()
    meet(one, two)
    assert one.ask("dark") == 429
    assert one.ask("minute") == 429
    assert any("gateway-gw1 is not heard, so a key" in line for line in two.lines)


def test_a_key_that_is_not_known_is_told_nothing(pair: Pair) -> None:
    one, two = pair
    two.knows(one, key="f" * 64)
    until(lambda: not one.hears(), 20)
    until(lambda: any("does not know the key of this gateway" in line for line in one.lines))
    assert two.hears()

    two.knows(one)
    until(one.hears, 20)
    assert not any(gateway.key in line for gateway in pair for line in one.lines + two.lines)
