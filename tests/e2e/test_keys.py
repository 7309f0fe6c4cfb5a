"""Keys of group_data on a Mac: let in, limited, rotated and revoked by deploys that disturb nobody
else."""

import http.client
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openai
import pytest

from lab.lab import Mac
from proxy.keys.key import digest_of
from proxy.keys.keys_file import new_key
from tests.e2e.fleet import PROJECT, SENTENCE, Fleet, Run, plain, until

KEYS = "Proxy | Write the API keys"
ANNA, ANNAS_NEXT, BEN, CARLA = (new_key() for _ in range(4))
EVERY_KEY = (ANNA, ANNAS_NEXT, BEN, CARLA)
# For long streams, several at once; with their probabilities, a token is nearly 2 kB.
ROOM = {"ctx_size": 8192, "parallel": 3}
TOKENS = 5000
# The sentence, over and over: minutes, to one who reads ten tokens in a second.
ENDLESS = " ".join([SENTENCE] * TOKENS)


def entry(name: str, key: str, /, **fields: Any) -> dict[str, Any]:
    return {"name": name, "sha256": digest_of(key).hex(), **fields}


def data(*entries: dict[str, Any], **own: Any) -> dict[str, Any]:
    """Host data with these keys."""
    return {"models": {"recite": ROOM}, "api_keys": list(entries)} | own


BOTH = (entry("anna", ANNA), entry("ben", BEN))


def holding(key: str) -> dict[str, str]:
    """The workstation of somebody with this key, and no other."""
    return {"API_KEYS": "", "HERD_API_KEY": key}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One Mac with the keys of anna and ben, deployed by anna."""
    fleet = Fleet(tmp_path_factory.mktemp("lab"), "mac1")
    run = fleet.deploy(environment=holding(ANNA), mac1=data(*BOTH))
    assert run.code == 0, run.err
    yield fleet
    fleet.stop()


class Stream:
    """A long answer to a client that reads it slowly, until it is told to hurry."""

    def __init__(self, fleet: Fleet, key: str) -> None:
        self._hurry = threading.Event()
        self._socket = socket.socket()
        # What is under way must not fit into buffers: the proxy would be done with it.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self._socket.settimeout(30)
        self._socket.connect(("127.0.0.1", fleet["mac1"].ports["proxy"]))
        body = json.dumps(
            {
                "model": "recite",
                "messages": [{"role": "user", "content": "Hi"}],
                "stream": True,
                "max_tokens": TOKENS,
                "ignore_eos": True,
                "logprobs": True,
                "top_logprobs": 20,
            }
        )
        self._socket.sendall(
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: mac1\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        answer = http.client.HTTPResponse(self._socket)
        answer.begin()
        assert answer.status == 200
        self.said, self.ended = "", False
        self._thread = threading.Thread(target=self._read, args=(answer,), daemon=True)
        self._thread.start()

    def _read(self, answer: http.client.HTTPResponse) -> None:
        with suppress(OSError, http.client.HTTPException):
            for line in iter(answer.readline, b""):
                self.ended |= line == b"data: [DONE]\n"
                if line.startswith(b"data: {"):
                    (choice,) = json.loads(line[6:])["choices"]
                    self.said += choice["delta"].get("content") or ""
                    self._hurry.wait(0.1)

    @property
    def lives(self) -> bool:
        """Whether more of it comes."""
        before = len(self.said)
        return self._thread.is_alive() and bool(until(lambda: len(self.said) > before, 10))

    def rest(self) -> str:
        """All of it, once it has ended or was broken off."""
        self._hurry.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._socket.close()
        return self.said


def pids(mac: Mac) -> dict[str, str]:
    """Of the proxy, of llama-swap and of the loaded model."""
    jobs = {name: mac.launchd.job(f"com.moonspirit.{name}") for name in ("proxy", "llama-swap")}
    found = {name: job["pid"] for name, job in jobs.items() if job}
    return found | {"model": mac.run("pgrep -f llama-server").stdout.strip()}


def where(mac: Mac, secret: str) -> list[Path]:
    """Files of a Mac that hold a secret."""
    return [
        path
        for path in mac.root.rglob("*")
        if path.is_file()
        and path.suffix != ".gguf"
        and path.stat().st_size < 20 << 20
        and secret.encode() in path.read_bytes()
    ]


def test_keys_come_are_limited_rotated_and_go_while_a_stream_and_the_model_live_on(
    fleet: Fleet,
) -> None:
    mac = fleet["mac1"]
    assert fleet.says(key=ANNA) == SENTENCE
    before = pids(mac)
    bens = Stream(fleet, BEN)
    with pytest.raises(openai.AuthenticationError):
        fleet.says(key=CARLA)

    # Carla gets two requests per minute: a stream, and an answer.
    carla = entry("carla", CARLA, rpm=2)
    added = fleet.deploy(environment=holding(ANNA), mac1=data(*BOTH, carla))
    assert added.code == 0, added.err
    assert added.changed("mac1") == {KEYS}
    carlas = Stream(fleet, CARLA)
    assert fleet.says(key=CARLA) == SENTENCE
    with pytest.raises(openai.RateLimitError) as limited:
        fleet.says(key=CARLA)
    assert int(limited.value.response.headers["Retry-After"]) > 0

    # Anna's key is rotated; for an hour both work.
    soon = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    annas = (entry("anna", ANNA, expires=soon), entry("anna", ANNAS_NEXT))
    ben = entry("ben", BEN)
    inventory = fleet.inventory(mac1=data(*annas, ben, carla))
    rotated = fleet.pyinfra(
        *("-y", "-vvv", "--debug-all", "--diff", str(inventory), "deploy.py"), **holding(ANNAS_NEXT)
    )
    assert rotated.code == 0, rotated.err
    assert f"changed:  {KEYS}\n" in plain(rotated.err + rotated.out)
    assert fleet.says(key=ANNA) == fleet.says(key=ANNAS_NEXT) == SENTENCE
    assert carlas.lives

    # Carla's key and the older one of anna are revoked.
    last = data(annas[1], ben)
    revoked = fleet.deploy(environment=holding(ANNAS_NEXT), mac1=last)
    assert revoked.code == 0, revoked.err
    assert revoked.changed("mac1") == {KEYS}
    assert ENDLESS.startswith(carlas.rest())
    assert not carlas.ended
    for key in (ANNA, CARLA):
        with pytest.raises(openai.AuthenticationError):
            fleet.says(key=key)

    again = fleet.deploy(environment=holding(ANNAS_NEXT), mac1=last)
    assert again.code == 0, again.err
    assert again.changed("mac1") == set()
    assert bens.lives
    assert ENDLESS.startswith(bens.rest())
    assert bens.ended
    assert len(bens.said.split()) == TOKENS
    assert pids(mac) == before

    for key in EVERY_KEY:
        assert where(mac, key) == []
        assert all(key not in text for _, text in mac.log)
        for run in (added, rotated, revoked, again):
            assert key not in run.out + run.err


def test_without_a_key_a_deploy_says_what_it_skips_and_proves_the_rest(fleet: Fleet) -> None:
    inventory = str(fleet.inventory(mac1=data(*BOTH)))
    run = fleet.pyinfra("-y", inventory, "deploy.py", **holding(""))

    assert run.code == 0, run.err
    said = plain(run.err + run.out)
    assert "skipped: requests with a key; set HERD_API_KEY to the key of anna or ben" in said
    assert re.search(r"keys: +anna, ben$", said, re.MULTILINE)


@pytest.fixture
def theirs(fleet: Fleet) -> Path:
    """An inventory with the keys of anna and ben, which the Mac has."""
    config = fleet["mac1"].home / "llama-swap/config.json"
    if json.loads(config.read_text())["apiKeys"] != [*BOTH]:
        assert fleet.deploy(environment=holding(ANNA), mac1=data(*BOTH)).code == 0
    return fleet.inventory(mac1=data(*BOTH))


@pytest.mark.soak
def test_status_and_chat_take_the_key_of_the_environment(fleet: Fleet, theirs: Path) -> None:
    def herd(verb: str, key: str) -> Run:
        return fleet.herd(verb, inventory=theirs, **holding(key))

    assert herd("chat", BEN).out.endswith(f": {SENTENCE}\n")
    assert re.search(r"serves +yes$", herd("status", BEN).out, re.MULTILINE)
    untried = herd("status", "").out
    assert "yes (not tried with a key: set HERD_API_KEY to the key of anna or ben)" in untried
    for key, words in (("", "set HERD_API_KEY to"), (CARLA, "HERD_API_KEY is none of")):
        run = herd("chat", key)
        assert run.code == 1
        (line,) = run.err.splitlines()
        assert line.startswith(f"[mac1] no key to ask with: {words}")
        assert CARLA not in line


def test_chat_asks_a_model_that_the_key_may_use(fleet: Fleet) -> None:
    models = {"another": {"repo": "lab/recite-GGUF"}, "recite": ROOM}

    def chat(pattern: str) -> Run:
        own = data(entry("ben", BEN, models=[pattern]), models=models)
        return fleet.herd("chat", inventory=fleet.inventory(mac1=own), **holding(BEN))

    assert chat("rec*").out.startswith("[mac1] recite at ")
    refused = chat("qwen*")
    assert refused.code == 1
    assert "this key may use none of its models" in refused.err


@pytest.mark.soak
def test_usage_is_told_by_host_and_survives_a_restart_of_the_proxy(
    fleet: Fleet, theirs: Path
) -> None:
    assert fleet.says(key=BEN) == SENTENCE

    def used() -> int:
        run = fleet.herd("usage", "--json", "--key", "ben", inventory=theirs)
        assert run.code == 0, run.err
        rows = json.loads(run.out)["hosts"]["mac1"]
        assert {row["key"] for row in rows} <= {"ben"}
        return sum(row["requests"] for row in rows)

    before = until(used)
    pid = pids(fleet["mac1"])["proxy"]
    assert fleet.herd("restart", inventory=theirs).code == 0
    until(lambda: pids(fleet["mac1"]).get("proxy") not in (None, pid))

    assert used() == before
    table = fleet.herd("usage", "--since", "7d", inventory=theirs)
    assert re.search(r"^\[mac1\] \S+ +ben +recite +\d+", table.out, re.MULTILINE)
    books = fleet["mac1"].home / "llama-swap" / "usage.db"
    assert books.stat().st_mode & 0o077 == 0


def herd_in(fleet: Fleet, directory: Path, *words: str, program: str = "herd") -> Run:
    """A verb, or pyinfra, in another directory."""
    done = subprocess.run(
        [sys.executable, "-m", program, *words],
        cwd=directory,
        env={**fleet.environment, "PYTHONPATH": str(PROJECT), "API_KEYS": ""},
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    return Run(done.returncode, done.stdout, done.stderr)


@pytest.mark.soak
def test_a_new_key_and_a_deploy_are_enough_for_one_mac(fleet: Fleet, tmp_path: Path) -> None:
    """Without editing anything: the entry is in config.json, which is shipped as it is."""
    files = ("deploy.py", "config.py", "pyproject.toml")
    for name in (*files, "fetcher", "group_data", "herd", "proxy", "templates"):
        (tmp_path / name).symlink_to(PROJECT / name)
    inventory = str(fleet.inventory(mac1={"models": {"recite": ROOM}}))

    made = herd_in(fleet, tmp_path, "key", "--inventory", inventory, "me")
    run = herd_in(fleet, tmp_path, "-y", inventory, "deploy.py", program="pyinfra")

    assert (made.code, run.code) == (0, 0), made.err + run.err
    (key,) = re.findall(r"^  (sk-herd-\S+)$", made.out, re.MULTILINE)
    assert fleet.says(key=key) == SENTENCE
    shipped = json.loads((fleet["mac1"].home / "llama-swap/config.json").read_text())
    assert shipped["apiKeys"][0]["name"] == "me"
    assert where(fleet["mac1"], key) == []


@pytest.mark.soak
def test_where_data_has_keys_a_new_one_is_to_be_pasted_there(fleet: Fleet, tmp_path: Path) -> None:
    inventory = str(fleet.inventory(mac1=data(*BOTH)))

    made = herd_in(fleet, tmp_path, "key", "--inventory", inventory, "anna", "--rotate")
    taken = herd_in(fleet, tmp_path, "key", "--inventory", inventory, "ben")

    assert made.code == 0, made.err
    assert "In `api_keys` of host mac1 of the inventory, in place of the entry of anna:" in made.out
    assert len(re.findall(r'^  \{"name": "anna".*\},$', made.out, re.MULTILINE)) == 2
    assert taken.code == 1
    assert "has a key of ben already" in taken.err
    assert not (tmp_path / "config.json").exists()


# -- https


def certificate(directory: Path, name: str) -> dict[str, str]:
    """Settings with a fresh pair."""
    crt, key = directory / f"{name}.crt", directory / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", f"/CN={name}.example"),
            *("-keyout", str(key), "-out", str(crt)),
        ],
        check=True,
        capture_output=True,
    )
    return {"proxy_tls_certificate": str(crt), "proxy_tls_key": str(key)}


@pytest.mark.soak
def test_https_and_a_renewed_certificate_without_a_restart(fleet: Fleet, tmp_path: Path) -> None:
    mac = fleet["mac1"]
    first, second = certificate(tmp_path, "first"), certificate(tmp_path, "second")

    run = fleet.deploy(environment=holding(ANNA), mac1=data(*BOTH, **first))
    assert run.code == 0, run.err
    before = pids(mac)
    inventory = fleet.inventory(mac1=data(*BOTH, **first))
    chat = fleet.herd("chat", inventory=inventory, **holding(ANNA))
    assert f"https://127.0.0.1:{mac.ports['proxy']}: {SENTENCE}" in chat.out, chat.err
    status = fleet.herd("status", inventory=inventory, **holding(ANNA))
    assert re.search(r"serves +yes$", status.out, re.MULTILINE)
    key = mac.home / "llama-swap/proxy/tls-key.pem"
    assert key.stat().st_mode & 0o777 == 0o600

    renewed = fleet.deploy(environment=holding(ANNA), mac1=data(*BOTH, **second))
    assert renewed.code == 0, renewed.err
    assert renewed.changed("mac1") == {"Proxy | Write the certificate"}
    inventory = fleet.inventory(mac1=data(*BOTH, **second))
    until(lambda: SENTENCE in fleet.herd("chat", inventory=inventory, **holding(ANNA)).out)
    assert pids(mac)["proxy"] == before["proxy"]
