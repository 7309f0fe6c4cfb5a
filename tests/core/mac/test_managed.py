"""Only what the settings ask for is asked, and only what differs is changed."""

import pytest

from herd.core.mac import managed
from herd.core.mac.managed import Change, State
from herd.core.mac.preflight import without_root
from herd.core.text.units import GIB
from tests.core.mac import test_application_firewall, test_power, test_software_updates
from tests.core.samples import layout, settings

EVERYTHING = {
    "mac_sleep": "never",
    "mac_automatic_updates": False,
    "mac_firewall_exception": True,
    "mac_gpu_wired_limit_mb": 57344,
    "mac_networks": ["10.0.0.0/8"],
}
STATE = State(
    power=test_power.parse(),
    updates=test_software_updates.parse(),
    firewall=test_application_firewall.parse(),
    wired=0,
)


def test_nothing_is_asked_where_nothing_is_set() -> None:
    assert managed.asked(layout()) == []


def test_what_is_set_is_asked() -> None:
    assert managed.asked(layout(**EVERYTHING)) == [
        *("power", "updates", "firewall", "/opt/homebrew/opt/python@3.13", "3.13", "wired"),
        *("networks", "com.apple/250.com.moonspirit.proxy-networks"),
        *("newsyslog", "/Users/me/llama-swap"),
    ]
    assert managed.asked(layout(mac_wake_on_lan=False))[::2] == ["power", "/Users/me/llama-swap"]


def test_only_what_differs_is_a_change() -> None:
    want = managed.wanted("power", settings(mac_sleep="never"), STATE, (26, 1))
    found = managed.changes(want, STATE)

    assert found == [
        Change("AC Power: sleep", "1", "0"),
        Change("AC Power: disksleep", "10", "0"),
        Change("AC Power: powernap", "1", "0"),
    ]
    assert found[0].commands == [["/usr/bin/pmset", "-c", "sleep", "0"]]


def test_a_change_that_did_not_take_is_told_with_both_values() -> None:
    assert managed.untaken([]) is None
    assert managed.untaken([Change("AC Power: sleep", "1", "0")]) == (
        "The Mac did not take it: AC Power: sleep is 1 still, not 0."
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AC Power: sleep", "1"),
        ("SleepDisabled", "0"),
        ("updates: SplatEnabled", "absent"),
        ("firewall: /usr/libexec/sshd-session", "block"),
        ("sysctl: iogpu.wired_limit_mb", "0"),
    ],
)
def test_every_setting_is_told_and_put_back_by_its_name(name: str, value: str) -> None:
    assert STATE.value(name) == value
    assert managed.commands(name, value)


def test_what_is_of_no_kind_is_refused() -> None:
    assert State().value("AC Power: sleep") is None
    with pytest.raises(ValueError, match="no setting of the Mac"):
        managed.commands("rm -rf", "/")


def test_what_cannot_be_read_is_a_problem_and_no_change() -> None:
    state = State(unread={"firewall": "no such tool"})
    (problem,) = managed.problems(settings(**EVERYTHING), state, 64 * GIB)

    assert problem.where == "the Mac's firewall"
    assert problem.what == "It cannot be read: no such tool"
    assert managed.wanted("firewall", settings(**EVERYTHING), state, (26,)) == {}


def test_what_sudo_keeps_from_us_is_one_problem_and_preflights_own() -> None:
    asked = dict.fromkeys(("firewall", "networks"), "sudo: a password is required")
    found = list(managed.problems(settings(**EVERYTHING), State(unread=asked), 64 * GIB))

    assert found == [without_root("sudo: a password is required")]


def test_the_first_note_of_a_setting_counts() -> None:
    noted = ["AC Power: sleep\t1", "AC Power: sleep\t0", "firewall: /a b\tabsent", "half a li"]

    assert managed.parse_record(noted) == {"AC Power: sleep": "1", "firewall: /a b": "absent"}


def test_what_newsyslog_would_rename_is_refused() -> None:
    state = State(newsyslog=["/etc/newsyslog.d/llama.conf"])
    (problem,) = managed.problems(settings(mac_sleep="never"), state, 64 * GIB)

    assert problem.where == "/etc/newsyslog.d/llama.conf"
    assert "write into the renamed file for ever" in problem.what


def test_jobs_are_those_of_what_a_restart_forgets() -> None:
    assert managed.jobs(layout()) == []
    labels = [job["Label"] for job in managed.jobs(layout(**EVERYTHING))]
    assert labels == ["llama-herd.gpu-wired-limit", "com.moonspirit.proxy-networks"]
    noted = [*(f"job: {label}" for label in labels), "AC Power: sleep"]
    assert managed.jobs_in(noted) == labels
    assert managed.kinds_of(noted) == ("power",)
