"""The application firewall's list is read as it prints it, with its blanks at the ends."""

import pytest

from herd.core.mac import application_firewall
from herd.core.mac.application_firewall import Firewall
from tests.core.samples import settings

FRAMEWORK = "/opt/homebrew/Cellar/python@3.13/3.13.9/Frameworks/Python.framework/Versions/3.13"
PYTHON = f"{FRAMEWORK}/Resources/Python.app/Contents/MacOS/Python"
# Published captures; the first of a macOS 26 VM (nix-darwin #1705).
LIST = """\
Total number of apps = 4
1 : /usr/libexec/sshd-session
             (Block incoming connections)
2 : /Applications/Two words.app/
             (Allow incoming connections)
3 : {python}
             (Allow incoming connections)
4 : /usr/bin/python3
\t\t ( Allow incoming connections )
"""
OFF, ON = "Firewall is disabled. (State = 0)", "Firewall is enabled. (State = 1)"
ALL = [
    "Firewall is blocking all non-essential incoming connections. (State = 2)",
    "Firewall is set to block all non-essential incoming connections. (State = 2)",
]


def parse(state: str = ON, python: str = PYTHON, apps: str = LIST) -> Firewall:
    text = apps.replace("{python}", python)
    padded = [f"{line} " for line in text.splitlines()]
    return application_firewall.parse([state], padded, PYTHON)


def test_the_list_is_read() -> None:
    found = parse()

    assert found.state == 1
    assert found.apps == {
        "/usr/libexec/sshd-session": "block",
        "/Applications/Two words.app": "allow",
        PYTHON: "allow",
        "/usr/bin/python3": "allow",
    }
    assert found.value(f"firewall: {PYTHON}") == "allow"


def test_an_upgrade_has_another_path() -> None:
    found = parse(python=PYTHON.replace("3.13.9", "3.13.8"))

    assert found.value(f"firewall: {PYTHON}") == "absent"
    want = application_firewall.wanted(settings(mac_firewall_exception=True), found)
    assert want == {f"firewall: {PYTHON}": "allow"}


def test_a_program_may_be_listed_by_its_bundle() -> None:
    found = parse(python=PYTHON.partition("/Contents")[0])

    assert found.value(f"firewall: {PYTHON}") == "allow"


def test_an_empty_list_is_an_answer() -> None:
    assert parse(OFF, apps="Total number of apps = 0").apps == {}


@pytest.mark.parametrize(
    ("state", "apps"),
    [("sudo: a password is required", LIST), (ON, "sudo: a password is required"), ("", "")],
)
def test_what_is_no_answer(state: str, apps: str) -> None:
    with pytest.raises(ValueError, match="does not say"):
        parse(state, apps=apps)


@pytest.mark.parametrize("state", ALL)
def test_a_firewall_that_lets_nobody_in_is_a_failure(state: str) -> None:
    """Whatever its words: one has no `enabled` in it."""
    (problem,) = application_firewall.problems(settings(mac_firewall_exception=True), parse(state))

    assert "no client gets in" in problem.what
    assert not list(application_firewall.problems(settings(), parse(state)))


@pytest.mark.parametrize("state", [OFF, ON])
def test_one_that_is_off_is_told_nevertheless(state: str) -> None:
    found = parse(state)

    assert not list(application_firewall.problems(settings(mac_firewall_exception=True), found))
    assert application_firewall.wanted(settings(mac_firewall_exception=True), found)
    assert application_firewall.wanted(settings(), found) == {}


def test_before_there_is_a_python_it_is_to_be_let_in_nevertheless() -> None:
    found = application_firewall.parse([ON], ["Total number of apps = 0 "], "")
    want = application_firewall.wanted(settings(mac_firewall_exception=True), found)

    assert want == {"firewall: the proxy's Python": "allow"}
    assert found.value("firewall: the proxy's Python") == "absent"


def test_an_exception_that_is_not_wanted_goes() -> None:
    want = application_firewall.wanted(settings(mac_firewall_exception=False), parse())

    assert want == {f"firewall: {PYTHON}": "absent"}


def test_commands() -> None:
    tool = "/usr/libexec/ApplicationFirewall/socketfilterfw"

    assert application_firewall.commands(f"firewall: {PYTHON}", "allow") == [
        [tool, "--add", PYTHON],
        [tool, "--unblockapp", PYTHON],
    ]
    assert application_firewall.commands("firewall: /a b", "absent") == [[tool, "--remove", "/a b"]]
    assert application_firewall.commands("firewall: /a", "block")[1] == [tool, "--blockapp", "/a"]
