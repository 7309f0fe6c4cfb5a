"""A Mac that cannot become what is wanted fails with all of its problems, and is sent nothing."""

import shlex
from dataclasses import replace
from typing import Any

import pytest

from herd.core.mac.preflight import Fetch, Needs
from herd.core.mac.sudo_rules import probe
from herd.core.models.memory_estimate import Served
from herd.core.models.memory_use import Use
from herd.core.text.units import GIB
from herd.operations import preflight
from tests.core.models.test_gguf import GPT_OSS_120B
from tests.core.samples import layout, resolved
from tests.facts.test_mac import GOOD, without
from tests.operations.harness import Run, run
from tests.operations.test_launchd import DEFINITION, NOT_LOADED, loaded

PLACE = layout()
NEEDS = Needs(
    models=[Fetch("tiny", {"tiny-GGUF/tiny.gguf": GIB})],
    memory_reserve=GIB,
    disk_reserve=GIB,
    console=True,
)
OURS = "/opt/homebrew/bin/llama-swap --config /Users/me/llama-swap/config.yaml"


def check(mac: list[str] = GOOD, listeners: str = "", needs: Needs = NEEDS, **answers: Any) -> Run:
    return run(
        preflight.check,
        layout=PLACE,
        needs=needs,
        ports={3000: "proxy_port", 8080: "llama_swap_port"},
        models=[resolved([("tiny.gguf", GIB)])],
        uid=501,
        answers={"mac": mac, "listeners": listeners, **answers},
    )


def test_a_good_mac_is_sent_nothing() -> None:
    found = check()

    assert found.untouched
    assert len(found.asked) == 7


def test_what_is_only_estimated_not_to_fit_is_said_and_goes_on() -> None:
    unknown = GPT_OSS_120B.model_copy(update={"architecture": "brand-new"})
    served = Served("tiny", Use(1 << 26, 1), {"tiny.gguf": GIB}, unknown)
    found = check(needs=replace(NEEDS, together=[[served]]))

    assert found.untouched
    told = "\n".join(found.everything)
    assert "may be too small: 1 problem." in told
    assert "memory for tiny" in told
    assert "architecture brand-new is unknown here" in told


ROOT = [("/bin/launchctl", "bootstrap", "system", "/Library/LaunchDaemons/a.plist")]
PROBE = f"told=$({shlex.join(('sudo', '-n', *probe(ROOT)))}"


def test_what_only_root_may_do_is_granted() -> None:
    found = check(needs=replace(NEEDS, root=ROOT), **{PROBE: "yes"})

    assert found.untouched
    assert len(found.asked) == 8


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("no sudo: a password is required", "sudo says: sudo: a password is required."),
        (
            "no Respect the privacy of others.\n\nsudo: no tty present",
            "says: sudo: no tty present.",
        ),
        ("no ", "sudo says: nothing."),
        ("", "sudo says: nothing."),
    ],
)
def test_what_only_root_may_do_and_nobody_granted_is_a_problem(said: str, words: str) -> None:
    told = refused(check(needs=replace(NEEDS, root=ROOT), **{PROBE: said}))

    assert words in told
    assert "`make sudoers`" in told


def test_sudo_that_wants_a_terminal_is_no_matter_of_rules() -> None:
    said = "no sudo: sorry, you must have a tty to run sudo"
    told = refused(check(needs=replace(NEEDS, root=ROOT), **{PROBE: said}))

    assert "take `Defaults requiretty` out of sudoers" in told
    assert "`make sudoers`" not in told


OLD = {"agents": "Daemons\tcom.moonspirit.proxy"}


def test_a_daemon_that_is_to_go_takes_root() -> None:
    assert "LaunchDaemon of this stack, which is to go" in refused(check(**OLD))
    assert check(agents="Agents\tcom.moonspirit.proxy").untouched


HEADLESS = without("console")


def boot(
    filevault: str = "FileVault is Off.", login: str = "", volumes: str = ""
) -> dict[str, str]:
    return {"boot": f"filevault\t{filevault}\nlogin\t{login}\nvolumes\t{volumes}"}


def test_nobody_logged_in_is_no_fault_of_a_daemons_mac() -> None:
    assert check(HEADLESS, needs=replace(NEEDS, console=False, daemon=True), **boot()).untouched


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (boot(), "and turn on automatic login for restarts"),
        (boot(login="me"), "(or by Screen Sharing); or set"),
        (boot("FileVault is On.", "me"), "FileVault rules out automatic login"),
    ],
)
def test_a_headless_mac_of_agents_is_told_of_daemons(start: dict[str, str], words: str) -> None:
    told = refused(check(HEADLESS, **start))

    assert words in told
    assert 'set launchd_domain = "daemon", which needs nobody logged in' in told


STICK = [
    *GOOD,
    "place\t/models",
    "path\t/Volumes/Stick/models",
    "on\t/dev/disk5s1 9 1 8 1% /Volumes/Stick",
]


def test_a_volume_that_is_mounted_at_login_is_too_late_for_a_daemon() -> None:
    daemon = replace(NEEDS, console=False, daemon=True)
    told = refused(check(STICK, needs=daemon, **boot()))

    assert "directory /Volumes/Stick/models" in told
    assert "AutomountDisksWithoutUserLogin -bool true" in told
    assert check(STICK, needs=daemon, **boot(volumes="1")).untouched
    assert check(STICK).untouched


def refused(found: Run) -> str:
    """What a Mac that failed without being sent anything was said to lack."""
    assert found.failed
    assert not found.sent
    assert not found.changed
    return "\n".join(found.everything)


def test_a_bad_mac_fails_with_all_that_is_wrong_before_it_is_sent_anything() -> None:
    told = refused(check(without("tools", "console")))

    assert "@fake/mac cannot be set up: 2 problems." in told
    assert "xcode-select --install" in told
    assert "log in on the Mac's screen" in told


def test_our_own_services_may_hold_the_ports() -> None:
    assert check(
        listeners=f"port\t3000\npid\t7\t1\t\t{OURS}\nport\t8080\npid\t8\t1\t\t{OURS}"
    ).untouched


def test_a_stranger_on_a_port_is_named() -> None:
    told = refused(check(listeners="port\t8080\npid\t7\t1\t\tnode server.js"))

    assert "port 8080 (llama_swap_port)" in told
    assert "node server.js (pid 7)" in told


def test_another_users_process_on_a_port_is_a_problem() -> None:
    assert "another user" in refused(check(listeners="port\t3000"))


def test_what_was_started_by_hand_in_the_stacks_directory_may_hold_its_port() -> None:
    by_hand = "port\t8080\npid\t7\t1\t/Users/me/llama-swap\tllama-swap --config config.yaml"

    assert check(listeners=by_hand).untouched


def test_our_own_job_may_run_in_another_directory_when_the_stack_moves() -> None:
    listeners = "port\t8080\npid\t77\t1\t\t/opt/homebrew/bin/llama-swap --config /old/config.yaml"
    mine = check(listeners=listeners, **{"launchctl print": loaded(DEFINITION, pid=77)})
    other = check(listeners=listeners, **{"launchctl print": NOT_LOADED})

    assert mine.untouched
    assert "port 8080" in refused(other)


def test_a_volume_that_jobs_may_not_read_is_a_problem() -> None:
    needs = replace(NEEDS, removable=["/Volumes/Fast/models"])
    asked = check(needs=needs)
    told = refused(check(needs=needs, **{"job-reads": "denied\t/Volumes/Fast/models"}))

    assert asked.untouched
    assert "job-reads 501 /Volumes/Fast/models" in asked.asked
    assert "macOS keeps launchd jobs off this volume" in told
