"""launchd_autostart: background, terminal and off, each as its comment says, and every switch."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from lab.lab import Mac, Terminal
from tests.e2e.fleet import SENTENCE, Fleet, is_served, until

LLAMA_SWAP, PROXY = "com.moonspirit.llama-swap", "com.moonspirit.proxy"
OPENED = "Services | Open in Terminal now"
VERIFY = "Verify | Wait until the stack serves"
CTRL_C = "\x03"
MODES = ("background", "terminal", "off")


def data(mode: str) -> dict[str, Any]:
    return {"mac1": {"launchd_autostart": mode}}


def both_served(mac: Mac) -> bool:
    return is_served(mac.ports["llama_swap"]) and is_served(mac.ports["proxy"])


def none_served(mac: Mac) -> bool:
    return not is_served(mac.ports["llama_swap"]) and not is_served(mac.ports["proxy"])


def windows(mac: Mac) -> list[Terminal]:
    """The Terminal windows in which something runs."""
    return [window for window in mac.terminals if window.alive]


def commands(mac: Mac) -> list[str]:
    """Command lines of what runs of the stack."""
    lines = mac.run("ps -axww -o args=").stdout.splitlines()
    return [line for line in lines if f"{mac.home}/llama-swap/" in line]


def agents(mac: Mac) -> list[str]:
    return sorted(file.stem for file in (mac.home / "Library/LaunchAgents").iterdir())


def check(fleet: Fleet, mode: str) -> None:
    """The Mac is as a deploy in this mode leaves it, with nothing of another mode."""
    mac = fleet["mac1"]
    jobs = [LLAMA_SWAP] if mode == "terminal" else [LLAMA_SWAP, PROXY]
    assert agents(mac) == jobs
    assert sorted(mac.launchd.labels()) == jobs
    pids = {(mac.launchd.job(label) or {}).get("pid") for label in jobs}
    if mode == "background":
        assert None not in pids
        assert windows(mac) == []
        assert len(commands(mac)) == 2 + len(servers(mac))
    if mode == "terminal":
        (window,) = windows(mac)
        assert window.file == f"{mac.home}/llama-swap/start.command"
        assert pids == {None}
    if mode != "off":
        assert fleet.says() == SENTENCE


def servers(mac: Mac) -> list[str]:
    # A stand-in is run by Python, and llama-swap's directory is in all of their words.
    return [line for line in commands(mac) if " --model " in line]


@pytest.fixture(scope="module")
def terminal(deployed: Fleet) -> Fleet:
    """A Mac that ran the stack in the background, and now does in a Terminal window."""
    deployed.settles(**data("terminal"))
    return deployed


@pytest.fixture(scope="module")
def off(terminal: Fleet) -> Fleet:
    """A Mac that ran the stack in a Terminal window, and on which it now is only installed."""
    terminal.settles(**data("off"))
    return terminal


# -- terminal


def test_terminal_opens_one_window_that_serves(terminal: Fleet) -> None:
    """launchd would start a job that it has just started again after ten seconds."""
    mac = terminal["mac1"]
    check(terminal, "terminal")
    jobs = mac.launchd.job(LLAMA_SWAP)
    assert jobs
    assert jobs["state"] == "not running"
    assert jobs["runs"] == "1"
    assert mac.opened == [f"{mac.home}/llama-swap/start.command"]
    status = terminal.herd("status", inventory=terminal.inventory(**data("terminal")))
    assert status.code == 0, status.out
    assert "  proxy       runs in a Terminal window, pid " in status.out


@pytest.mark.parametrize("way", ["reboot", pytest.param("new login", marks=pytest.mark.soak)])
def test_terminal_opens_a_window_at_login(terminal: Fleet, way: str) -> None:
    mac = terminal["mac1"]
    if way == "reboot":
        mac.reboot()
    else:
        mac.logout()
        until(lambda: none_served(mac))
        mac.login()

    until(lambda: both_served(mac))
    check(terminal, "terminal")


@pytest.mark.soak
def test_ctrl_c_in_the_window_stops_both_and_the_next_deploy_opens_it_again(
    terminal: Fleet,
) -> None:
    mac = terminal["mac1"]
    if not both_served(mac):
        assert terminal.deploy(**data("terminal")).code == 0
    assert terminal.says() == SENTENCE
    (window,) = windows(mac)
    window.write(CTRL_C)

    until(lambda: windows(mac) == [])
    assert none_served(mac)
    assert commands(mac) == []
    assert "Stopping llama-swap and the proxy." in mac.terminals[-1].output
    run = terminal.deploy(**data("terminal"))
    assert run.changed("mac1") == {OPENED, VERIFY}
    check(terminal, "terminal")


def test_the_windows_red_button_stops_both(terminal: Fleet) -> None:
    """Closing it sends SIGHUP."""
    mac = terminal["mac1"]
    if not both_served(mac):
        assert terminal.deploy(**data("terminal")).code == 0
    (window,) = windows(mac)
    window.close()

    until(lambda: none_served(mac))
    until(lambda: commands(mac) == [])


@pytest.mark.soak
@pytest.mark.parametrize("victim", ["llama_swap", "proxy"])
def test_in_the_window_the_end_of_one_is_the_end_of_both(terminal: Fleet, victim: str) -> None:
    """The window says so, instead of serving half of the stack."""
    mac = terminal["mac1"]
    if not both_served(mac):
        assert terminal.herd("start", inventory=terminal.inventory(**data("terminal"))).code == 0
        until(lambda: both_served(mac))
    pid = mac.run(f"lsof -nP -t -iTCP:{mac.ports[victim]} -sTCP:LISTEN").stdout.strip()
    mac.run(f"kill {pid}", check=True)

    until(lambda: none_served(mac))
    until(lambda: windows(mac) == [])


# -- off


def test_off_installs_and_starts_nothing_not_even_at_login(off: Fleet) -> None:
    mac = off["mac1"]
    check(off, "off")

    mac.reboot()

    assert sorted(mac.launchd.labels()) == [LLAMA_SWAP, PROXY]
    assert commands(mac) == []


@pytest.mark.soak
def test_off_is_started_by_hand_and_a_deploy_leaves_it_as_it_is(off: Fleet) -> None:
    mac = off["mac1"]
    inventory = off.inventory(**data("off"))

    started = off.herd("start", inventory=inventory)
    assert started.code == 0, started.err
    until(lambda: both_served(mac))
    assert off.says() == SENTENCE
    before = commands(mac)
    run = off.deploy(**data("off"))
    assert run.changed("mac1") == set()
    assert commands(mac) == before
    assert off.herd("status", inventory=inventory).code == 0

    stopped = off.herd("stop", inventory=inventory)
    assert stopped.code == 0, stopped.err
    assert none_served(mac)
    assert off.deploy(**data("off")).code == 0
    check(off, "off")
    assert commands(mac) == []


@pytest.mark.soak
def test_off_running_takes_a_change_over_and_goes_on(off: Fleet) -> None:
    """A new definition restarts what runs, as half an old stack would be wrong."""
    mac = off["mac1"]
    port = mac.ports["proxy"] + 1
    wanted: dict[str, Any] = {"mac1": {"launchd_autostart": "off", "proxy_port": port}}
    assert off.herd("start", inventory=off.inventory(**data("off"))).code == 0
    until(lambda: both_served(mac))

    run = off.deploy(**wanted)

    assert run.code == 0, run.err
    until(lambda: is_served(port))
    assert off.says(port=port) == SENTENCE
    assert not is_served(mac.ports["proxy"])


@pytest.mark.soak
def test_off_needs_nobody_at_the_console(make_fleet: Callable[..., Fleet]) -> None:
    """What is installed then is loaded at the next login, and may be started."""
    fleet = make_fleet(console=False)
    mac = fleet["mac1"]
    fleet.settles(**data("off"))
    assert agents(mac) == [LLAMA_SWAP, PROXY]

    refused = fleet.herd("start", inventory=fleet.inventory(**data("off")))
    assert refused.code == 1
    (line,) = refused.err.splitlines()
    assert "not logged in at the console" in line

    mac.set(console=True)
    assert sorted(mac.launchd.labels()) == [LLAMA_SWAP, PROXY]
    assert fleet.herd("start", inventory=fleet.inventory(**data("off"))).code == 0
    until(lambda: both_served(mac))


# -- switching


def switch(fleet: Fleet, to: str) -> None:
    mac = fleet["mac1"]
    was_served = both_served(mac)
    fleet.settles(**data(to))
    check(fleet, to)
    # Off neither starts nor stops, but what a window ran was for a setting that is gone.
    assert to == "off" or both_served(mac)
    assert to != "off" or was_served or none_served(mac)


@pytest.mark.soak
def test_background_again_serves_and_does_so_after_a_reboot(off: Fleet) -> None:
    mac = off["mac1"]
    switch(off, "background")

    mac.reboot()

    until(lambda: both_served(mac))
    check(off, "background")


@pytest.mark.soak
@pytest.mark.parametrize(("before", "after"), list(itertools.permutations(MODES, 2)))
def test_each_switch_and_a_reboot_after_it(deployed: Fleet, before: str, after: str) -> None:
    mac = deployed["mac1"]
    switch(deployed, before)
    switch(deployed, after)

    mac.reboot()
    if after == "off":
        assert commands(mac) == []
    else:
        until(lambda: both_served(mac))
    check(deployed, after)
