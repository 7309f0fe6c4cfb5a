"""A Mac is asked who it is, and then for all the rest at once; after a change, for what changed."""

from collections.abc import Callable
from typing import Any

import pytest

from lab.lab import Mac
from tests.e2e.fleet import KEY, Fleet
from tests.e2e.test_infra import verify

# Who it is, and the rest.
ONCE = 2


def sent(mac: Mac) -> list[str]:
    """What it was sent since the last look."""
    log = [text for _, text in mac.log]
    mac.clear_log()
    return log


SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "nothing runs": {"launchd_autostart": "off", "llama_swap_watch_config": False},
    "in a Terminal window": {"launchd_autostart": "terminal", "models_prune": True},
}


@pytest.mark.soak
@pytest.mark.parametrize("name", SETTINGS)
def test_a_run_that_changes_nothing_asks_twice(deployed: Fleet, name: str) -> None:
    """And so does its plan."""
    mac, data = deployed["mac1"], SETTINGS[name]
    first = deployed.deploy(mac1=data)
    assert first.code == 0, first.err
    sent(mac)

    run = deployed.deploy(mac1=data)
    assert run.changed("mac1") == set()
    assert len(sent(mac)) == ONCE

    dry = deployed.pyinfra("--dry", str(deployed.inventory(mac1=data)), "deploy.py")
    assert dry.code == 0, dry.err
    assert len(sent(mac)) == ONCE
    assert deployed.deploy().code == 0  # as the other modules have it


@pytest.mark.soak
def test_a_changed_key_is_written_and_only_files_and_answers_are_asked_again(
    deployed: Fleet,
) -> None:
    mac = deployed["mac1"]
    assert deployed.deploy().code == 0
    sent(mac)

    run = deployed.deploy(environment={"API_KEYS": f"{KEY},sk-another-EXAMPLE-0123456789"})

    assert run.changed("mac1") == {"Proxy | Write the API keys"}
    commands = sent(mac)
    # Two questions, whose keys change, three of the write, what it changed, and the run's record.
    assert len(commands) == ONCE + 1 + 3 + 1 + 1
    again, record = commands[-2:]
    assert "last-deploy.json" in record
    assert "--- anonymous" in again
    assert "shasum -a 256" in again
    assert "brew list" not in again
    assert "find -L" not in again
    assert deployed.deploy().code == 0


def test_status_asks_twice_and_verify_who_listens_in_the_end_too(deployed: Fleet) -> None:
    """A model's port is open only once a completion has loaded it. The key is in no command, as
    it comes on standard input."""
    mac = deployed["mac1"]
    sent(mac)
    assert deployed.deploy().code == 0
    of_deploy = sent(mac)

    told = deployed.herd("status")
    of_status = sent(mac)
    run = verify(deployed)
    of_verify = sent(mac)

    assert told.code == 0, told.out + told.err
    assert "llama-swap  running, pid" in told.out
    assert len(of_status) == ONCE
    assert run.code == 0, run.out
    assert ONCE <= len(of_verify) <= ONCE + 3
    assert of_deploy
    assert all(KEY not in command for command in of_deploy + of_status + of_verify)


@pytest.mark.soak
def test_each_of_two_macs_is_asked_twice(make_fleet: Callable[..., Fleet]) -> None:
    """Though they share their models, and so ask each other's."""
    fleet = make_fleet("mac1", "mac2")
    both = {name: {"site": "here", "models_share": True} for name in fleet.lab.macs}
    assert fleet.deploy(**both).code == 0
    for mac in fleet.lab.macs.values():
        sent(mac)

    run = fleet.deploy(**both)

    assert run.changed("mac1") | run.changed("mac2") == set()
    assert [len(sent(mac)) for mac in fleet.lab.macs.values()] == [ONCE, ONCE]
