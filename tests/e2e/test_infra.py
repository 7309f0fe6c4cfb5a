"""`make verify`: a deployed Mac passes, and what is broken is named by the check that is for it."""

import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
import xml.etree.ElementTree as xml
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import preloaded
from tests.e2e.breakages import CLIENTS, FAST, SLOW, Breakage
from tests.e2e.breaking import root
from tests.e2e.fleet import KEY, PROJECT, Fleet
from tests.e2e.test_keys import certificate

HERE = "llama_swap_cannot_be_reached_from_here"
"""In the lab every Mac is this machine."""
OTHERS = "what_makes_no_chat_answers_in_its_own_way"
"""The lab's model makes chats."""
GATEWAYS = "gateways_hear_each_other"
"""This Mac is none."""


@dataclass(frozen=True)
class Verified:
    """What a run said: its words, the checks by host and outcome, what each failed one says."""

    code: int
    out: str
    outcomes: dict[str, dict[str, set[str]]]
    told: dict[str, str]
    found: dict[str, str]

    def failed(self, host: str = "mac1") -> set[str]:
        return self.outcomes[host]["failure"] | self.outcomes[host]["error"]

    def skipped(self, host: str = "mac1") -> set[str]:
        return self.outcomes[host]["skipped"]


def verify(
    fleet: Fleet, *options: str, inventory: Path | None = None, **environment: str
) -> Verified:
    """As a person runs it."""
    junit = fleet.lab.directory / "junit.xml"
    junit.unlink(missing_ok=True)
    done = preloaded.run(
        [
            *(sys.executable, "-m", "pytest", "tests/infra", "-p", "no:cacheprovider"),
            *("--inventory", str(inventory or fleet.lab.inventory)),
            *(f"--junitxml={junit}", *options),
        ],
        cwd=PROJECT,
        env=fleet.environment | environment,
        timeout=300,
    )
    outcomes: dict[str, dict[str, set[str]]] = {}
    told, found = {}, {}
    for case in xml.parse(junit).iter("testcase") if junit.exists() else ():
        name, _, host = case.attrib["name"].removeprefix("test_").rstrip("]").partition("[")
        kinds = {kind: case.find(kind) for kind in ("failure", "error", "skipped")}
        of_host = outcomes.setdefault(host, {k: set() for k in ("passed", *kinds)})
        outcome = next((kind for kind, there in kinds.items() if there is not None), "passed")
        of_host[outcome].add(name)
        if (there := kinds.get(outcome)) is not None:
            told[name] = f"{there.get('message')}\n{there.text}"
        for each in case.iter("property"):
            if each.attrib["name"] == "found":
                found[name] = each.attrib["value"]
    text = done.stdout + done.stderr
    assert KEY not in text + (junit.read_text() if junit.exists() else "")
    return Verified(done.returncode, text, outcomes, told, found)


def assert_named(deployed: Fleet, breakage: Breakage) -> None:
    with breakage.breaks(deployed["mac1"]):
        broken = verify(deployed)

    assert broken.failed() == {breakage.check} | breakage.follows, broken.out
    assert breakage.words in broken.told[breakage.check]
    assert "Fix: " in broken.told[breakage.check]
    assert broken.code == 1


def test_a_deployed_mac_passes_and_says_how_fast_it_is(deployed: Fleet) -> None:
    run = verify(deployed)

    assert run.code == 0, run.out
    assert run.failed() == set()
    assert run.skipped() == {HERE, OTHERS, GATEWAYS}
    assert len(run.outcomes["mac1"]["passed"]) >= 19
    speed = run.found["a_completion_streams"]
    assert "recite: first token after " in speed
    assert speed.endswith("tokens/s")
    assert f"a completion streams: {speed}" in run.out


FEW = ("proxy not loaded",)


@pytest.mark.parametrize(
    "name", [*FEW, *(pytest.param(n, marks=pytest.mark.soak) for n in FAST if n not in FEW)]
)
def test_a_breakage_is_named(deployed: Fleet, name: str) -> None:
    assert_named(deployed, FAST[name])


@pytest.mark.soak
@pytest.mark.parametrize("name", SLOW)
def test_every_breakage_is_named(deployed: Fleet, name: str) -> None:
    if name == "models of another user" and os.getuid():
        pytest.skip("only root can give a directory away")
    assert_named(deployed, SLOW[name])


@pytest.mark.soak
def test_after_all_breakages_the_mac_is_as_before(deployed: Fleet) -> None:
    """Else one of them could have been named for the fault of another."""
    run = verify(deployed)

    assert run.failed() == set(), run.out


@pytest.mark.soak
def test_without_a_key_of_the_host_what_needs_one_is_skipped_with_the_reason(
    deployed: Fleet,
) -> None:
    run = verify(deployed, HERD_API_KEY="sk-of-nobody-EXAMPLE-0123456789")

    assert run.code == 0, run.out
    needs_one = CLIENTS - {"without_a_key_nobody_is_let_in"} | {OTHERS}
    assert run.skipped() - {HERE, GATEWAYS} == needs_one
    assert all("is none of this host's keys" in run.told[name] for name in needs_one)
    assert "sk-of-nobody" not in run.out


def test_without_an_inventory_nothing_is_collected() -> None:
    """So `make test` asks nobody's Macs."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/infra", "-p", "no:cacheprovider"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )

    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "nothing is checked without --inventory inventory.py" in done.stdout


def test_settings_that_are_wrong_are_told_before_anything_is_connected_to(deployed: Fleet) -> None:
    bad = deployed.lab.directory / "bad.py"
    bad.write_text('macs = [("mac1", {"proxy_prot": 1, "verify_timeout": 1})]\n')

    run = verify(deployed, inventory=bad)

    assert run.code == pytest.ExitCode.USAGE_ERROR
    assert "There is no setting proxy_prot." in run.out
    assert "mac1: verify_timeout" in run.out
    assert run.outcomes == {}


@pytest.mark.soak
def test_a_mac_that_is_away_fails_once_and_the_others_are_checked(
    make_fleet: Callable[..., Fleet],
) -> None:
    fleet = make_fleet("mac1", "mac2")
    assert fleet.deploy().code == 0
    away = fleet.inventory(mac2={"ssh_port": 1})

    run = verify(fleet, inventory=away)

    assert run.failed("mac1") == set(), run.out
    assert run.failed("mac2") == {"reached_by_ssh"}
    assert not run.outcomes["mac2"]["passed"]
    assert "mac2\n    It cannot be reached by SSH, or not worked" in run.told["reached_by_ssh"]

    one = verify(fleet, "--limit", "mac1", inventory=away)
    assert set(one.outcomes) == {"mac1"}
    assert one.code == 0


@pytest.mark.soak
@pytest.mark.parametrize("autostart", ["terminal", "off"])
def test_every_way_to_start_passes(make_fleet: Callable[..., Fleet], autostart: str) -> None:
    """With nothing running, what needs it is skipped."""
    fleet = make_fleet()
    data = {"launchd_autostart": autostart}
    run = fleet.deploy(mac1=data)
    assert run.code == 0, run.err

    checked = verify(fleet, inventory=fleet.inventory(mac1=data))

    assert checked.failed() == set(), checked.out
    assert (checked.skipped() >= CLIENTS) == (autostart == "off")


@pytest.mark.soak
def test_https_passes_and_a_key_that_others_can_read_is_named(
    make_fleet: Callable[..., Fleet], tmp_path: Path
) -> None:
    fleet = make_fleet()
    data = certificate(tmp_path, "mine")
    run = fleet.deploy(mac1=data)
    assert run.code == 0, run.err
    inventory = fleet.inventory(mac1=data)

    good = verify(fleet, inventory=inventory)
    (root(fleet["mac1"]) / "proxy/tls-key.pem").chmod(0o644)
    bad = verify(fleet, inventory=inventory)

    assert good.failed() == set(), good.out
    assert "a_completion_streams" in good.outcomes["mac1"]["passed"]
    assert bad.failed() == {"files_have_their_modes_and_owners"}
    assert "tls-key.pem\n    Its mode is 644" in bad.told["files_have_their_modes_and_owners"]


# -- From a machine that is not the Mac


def own_address() -> str | None:
    """An address of this machine in its network, if it is in one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])
    return None


@pytest.fixture
def outside(deployed: Fleet) -> Iterator[Path]:
    """An inventory that has the Mac by an address of the network, where its sshd is let in."""
    address = own_address()
    if address is None or address.startswith("127."):
        pytest.skip("this machine is in no network")
    port = deployed["mac1"].ssh_port
    known = deployed.lab.directory / "known_hosts_outside"
    before = deployed.lab.known_hosts.read_text()
    known.write_text(before.replace("[127.0.0.1]", f"[{address}]"))

    class Forward(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as there:
                back = threading.Thread(target=pump, args=(there, self.request), daemon=True)
                back.start()
                pump(self.request, there)
                back.join(5)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server((address, port), Forward) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield deployed.inventory(mac1={"ssh_hostname": address, "ssh_known_hosts_file": str(known)})
        server.shutdown()


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.mark.soak
@pytest.mark.parametrize("name", [*FAST, *SLOW])
def test_doctor_finds_it_too(deployed: Fleet, name: str) -> None:
    """In words of its own; on a right Mac it finds that it sleeps."""

    def found() -> set[str]:
        told = json.loads(deployed.herd("doctor", "--json").out)
        return {each["name"] for each in told["hosts"]["mac1"]}

    assert found() == {"sleeps"}
    with {**FAST, **SLOW}[name].breaks(deployed["mac1"]):
        assert found() > {"sleeps"}


@pytest.mark.soak
def test_from_outside_only_the_proxy_can_be_reached(deployed: Fleet, outside: Path) -> None:
    good = verify(deployed, inventory=outside)
    breakage = FAST["llama-swap open to the network"]
    with breakage.breaks(deployed["mac1"]):
        bad = verify(deployed, inventory=outside)

    assert (good.failed(), good.skipped()) == (set(), {OTHERS, GATEWAYS}), good.out
    check = "llama_swap_cannot_be_reached_from_here"
    assert bad.failed() == {check, breakage.check} | breakage.follows
    assert f"{deployed['mac1'].ports['llama_swap']} answers from here" in bad.told[check]
