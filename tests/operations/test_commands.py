"""A host that fails to answer drops out alone; the others are converged."""

import pytest
from pyinfra.api import Config, Inventory, State
from pyinfra.api.connect import connect_all
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.operation import add_op
from pyinfra.api.operations import run_ops

from herd.operations import brew, files
from tests.operations.harness import short

QUICK = {"fake_delay": 0, "fake_delay_jitter": 0}


def sent_to(
    bad: dict[str, object], good: dict[str, object], fail_percent: int | None = None
) -> tuple[list[str], list[str]]:
    """The commands of three operations on two hosts, of which one answers badly."""
    hosts = [
        ("@fake/bad", {**QUICK, "fake_responses": bad}),
        ("@fake/good", {**QUICK, "fake_responses": good}),
    ]
    state = State(Inventory((hosts, {})), Config(FAIL_PERCENT=fail_percent))
    # As with `pyinfra -y`: otherwise the facts are asked before anything runs, too.
    state.check_for_changes = False
    connect_all(state)
    add_op(state, files.text, path="/first", content="x", name="First")
    add_op(
        state, brew.formulae, names=["hf"], prefix="/opt/homebrew", noted="/noted", name="Second"
    )
    add_op(state, files.text, path="/third", content="x", name="Third")
    run_ops(state)
    found = {
        host.name: [short(command) for command in host.connector.executed_commands]
        for host in state.inventory
    }
    assert {host.name for host in state.failed_hosts} == {"@fake/bad"}
    return found["@fake/bad"], found["@fake/good"]


GOOD: dict[str, object] = {
    "--version": ["Homebrew 5.1", "--- formulae", "--- trust"],
    "-L": "absent",
}


def test_a_host_that_is_lost_while_a_fact_is_asked_is_sent_nothing_more() -> None:
    bad, good = sent_to({"/first": {"success": False}, **GOOD}, GOOD)

    assert bad == ["state /first"]
    assert "brew /opt/homebrew 300 install hf" in good
    assert good[-1].endswith("mv -f /third.new /third")


def test_a_host_whose_answer_is_garbage_is_not_treated_as_a_bare_one() -> None:
    """The default of what brew says is "no Homebrew": everything would be installed."""
    bad, good = sent_to(
        {**GOOD, "--version": ["Homebrew 6.0", "--- formulae", "--- trust", "Trusted taps:"]}, GOOD
    )

    assert bad[-1] == "packages /opt/homebrew"
    assert "brew /opt/homebrew 300 install hf" in good


def test_all_or_nothing_ends_the_run_with_the_first_lost_host() -> None:
    with pytest.raises(PyinfraError, match="Over 0% of hosts failed"):
        sent_to({"/first": {"success": False}, **GOOD}, GOOD, fail_percent=0)
