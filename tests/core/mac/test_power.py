"""When a Mac sleeps and starts is read as pmset prints it, and told as pmset understands it."""

from typing import Any

import pytest

from herd.core.mac import power
from herd.core.mac.power import Power
from tests.core.samples import settings

# Rows as Apple's pmset.m prints them; which ones there are, and their order, is an example.
LIVE = """\
System-wide power settings:
Currently in use:
 standby              0
 Sleep On Power Button 1
 autorestart          0
 hibernatefile        /var/vm/sleepimage
 powernap             1
 networkoversleep     0
 disksleep            10
 sleep                1 (sleep prevented by powerd, sharingd)
 ttyskeepawake        1
 displaysleep         10
 tcpkeepalive         1
 womp                 1
"""
CUSTOM = "AC Power:\n" + LIVE.partition("use:\n")[2].replace(
    " (sleep prevented by powerd, sharingd)", ""
)
BATTERY = (
    "Battery Power:\n sleep                1\n disksleep            10\n displaysleep         2\n"
)
LAPTOP = LIVE.replace(" autorestart          0\n", "").replace(
    "settings:\n", "settings:\n SleepDisabled\t\t1\n DestroyFVKeyOnStandby\t\t0\n"
)


def parse(live: str = LIVE, custom: str = CUSTOM) -> Power:
    return power.parse(live.splitlines(), custom.splitlines())


def wanted(found: Power, **own: Any) -> dict[str, str]:
    return power.wanted(settings(**own), found)


def test_rows_are_read_with_their_blanks_notes_and_tabs() -> None:
    found = parse(LAPTOP, BATTERY + CUSTOM)

    assert found.live["Sleep On Power Button"] == "1"
    assert found.live["sleep"] == "1"
    assert found.live["hibernatefile"] == "/var/vm/sleepimage"
    assert found.live["SleepDisabled"] == "1"
    assert found.sources["Battery Power"]["displaysleep"] == "2"
    assert found.value("AC Power: displaysleep") == "10"
    assert found.value("SleepDisabled") == "1"
    assert found.value("UPS Power: sleep") is None


def test_a_switch_that_was_never_set_is_off() -> None:
    assert parse().value("SleepDisabled") == "0"


@pytest.mark.parametrize(
    ("live", "custom"),
    [("", ""), (LIVE, ""), ("", CUSTOM), ("Usage: pmset <options>", "Usage: pmset <options>")],
)
def test_what_says_nothing_of_sleep_is_no_answer(live: str, custom: str) -> None:
    with pytest.raises(ValueError, match="when this Mac sleeps"):
        parse(live, custom)


def test_nothing_is_wanted_of_what_nobody_asked_for() -> None:
    assert wanted(parse()) == {}


def test_a_mac_that_never_sleeps() -> None:
    assert wanted(parse(), mac_sleep="never") == {
        "AC Power: sleep": "0",
        "AC Power: disksleep": "0",
        "AC Power: displaysleep": "10",
        "AC Power: powernap": "0",
        "SleepDisabled": "0",
    }


def test_a_laptop_that_never_sleeps_does_not_on_its_battery_either() -> None:
    want = wanted(parse(LAPTOP, BATTERY + CUSTOM), mac_sleep="never-lid-shut")

    assert want["Battery Power: sleep"] == want["AC Power: sleep"] == "0"
    assert want["SleepDisabled"] == "1"
    # Power Nap is not among what this battery has.
    assert "Battery Power: powernap" not in want


@pytest.mark.parametrize(("asked", "value"), [(True, "1"), (False, "0")])
def test_starts_and_wakes(asked: bool, value: str) -> None:
    want = wanted(parse(), mac_restart_after_power_loss=asked, mac_wake_on_lan=asked)

    assert want == {"AC Power: womp": value, "AC Power: autorestart": value}


@pytest.mark.parametrize("macos", ["15", "26", "27"])
def test_a_start_whenever_power_is_connected_is_asked_for_where_there_is_one(macos: str) -> None:
    """pmset(1) has the key from 26 on, and not every model a row for it."""
    row = "" if macos == "15" else " autorestartatconnect 0\n"
    want = wanted(parse(LIVE + row, CUSTOM + row), mac_restart_after_power_loss=True)

    assert ("AC Power: autorestartatconnect" in want) == (macos != "15")


def test_what_a_model_has_no_row_for_it_cannot_do() -> None:
    """`-g custom` is not pruned of it, and to set it says nothing and exits 0 (pmset.m)."""
    found = parse(
        LIVE.replace(" autorestart          0\n", "").replace(" womp                 1\n", "")
    )
    asked = settings(mac_restart_after_power_loss=True, mac_wake_on_lan=True)

    assert power.wanted(asked, found) == {}
    restart, wake = power.problems(asked, found)
    assert restart.where == "mac_restart_after_power_loss"
    assert "no row autorestart" in restart.what
    assert "cannot be woken over the network" in wake.what


def test_what_nobody_asks_for_may_be_lacking() -> None:
    found = parse(LIVE.replace(" autorestart          0\n", ""))

    assert not list(power.problems(settings(mac_restart_after_power_loss=False), found))
    assert not list(power.problems(settings(mac_sleep="never"), found))


def test_a_laptop_on_its_battery_tells_nothing_of_its_cable() -> None:
    found = parse(LAPTOP.replace(" womp                 1\n", ""), CUSTOM + BATTERY)

    assert not list(power.problems(settings(mac_wake_on_lan=True), found))
    assert power.wanted(settings(mac_wake_on_lan=True), found) == {"AC Power: womp": "1"}


def test_commands_are_for_one_source_and_one_key() -> None:
    pmset = "/usr/bin/pmset"

    assert power.commands("AC Power: sleep", "0") == [[pmset, "-c", "sleep", "0"]]
    assert power.commands("Battery Power: displaysleep", "10") == [
        [pmset, "-b", "displaysleep", "10"]
    ]
    assert power.commands("SleepDisabled", "1") == [[pmset, "-a", "disablesleep", "1"]]
