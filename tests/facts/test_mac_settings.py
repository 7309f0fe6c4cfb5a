"""What the tools say of the Mac's settings is told apart, and what says nothing is not taken for
something."""

import pytest
from pyinfra.api import FactProcessError

from herd.core.mac.managed import State
from herd.facts.mac_settings import Before, MacSettings, parse
from tests.core.mac import test_application_firewall as firewall
from tests.core.mac import test_packet_filter as networks
from tests.core.mac import test_power as power
from tests.core.mac import test_software_updates as updates


def said(**answers: str | list[str]) -> list[str]:
    """As scripts/look/mac-settings.sh has it."""
    lines = []
    for name, text in answers.items():
        answer = text.splitlines() or [""] if isinstance(text, str) else text
        lines += [f"{name}\t0", *(f"\t{line}" for line in answer)]
    return lines


def test_everything_at_once() -> None:
    found = parse(
        said(
            live=power.LIVE,
            custom=power.CUSTOM,
            own=updates.SOME,
            managed=updates.NONE,
            wired="57344",
            program=firewall.PYTHON,
            state=firewall.ON,
            apps=firewall.LIST.format(python=firewall.PYTHON),
            info=networks.ON,
            main=networks.MAIN,
            ours=networks.CHATTER,
        )
    )

    assert found.unread == {}
    assert found.value("AC Power: sleep") == "1"
    assert found.value("updates: SplatEnabled") == "false"
    assert found.value(f"firewall: {firewall.PYTHON}") == "allow"
    assert found.value("sysctl: iogpu.wired_limit_mb") == "57344"
    assert found.networks is not None
    assert found.networks.rules == []


def test_what_was_not_asked_is_not_known() -> None:
    assert parse([]) == State()
    assert parse(said(wired="0")) == State(wired=0)


def test_what_sudo_refuses_is_told_in_its_words() -> None:
    refused = "sudo: a password is required"
    found = parse(said(program="/p", state=refused, apps=refused))

    assert found == State(unread={"firewall": refused})


def test_what_a_tool_says_otherwise_is_told() -> None:
    found = parse(said(live="Sleep: never", custom="", wired="much"))

    assert set(found.unread) == {"power", "wired"}


@pytest.mark.parametrize("line", ["no tab", "\tan answer to nothing"])
def test_no_answer_at_all(line: str) -> None:
    with pytest.raises(FactProcessError):
        parse([line])


def test_facts_ask_for_what_they_are_told() -> None:
    command = str(MacSettings().command(asked=["power", "firewall", "/a b", "3.13"]))

    assert command.endswith("mac-settings power firewall '/a b' 3.13")
    assert "2>/dev/null || true" in str(Before().command(path="/a b"))
