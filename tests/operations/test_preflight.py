"""A Mac that cannot become what is wanted fails by one command, and nothing else is sent."""

import subprocess
from typing import Any

from herd.core.mac.preflight import Fetch, Needs
from herd.core.text.units import GIB
from herd.operations import preflight
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


def check(mac: list[str] = GOOD, listeners: str = "", **answers: Any) -> Run:
    return run(
        preflight.check,
        layout=PLACE,
        needs=NEEDS,
        ports={3000: "proxy_port", 8080: "llama_swap_port"},
        models=[resolved([("tiny.gguf", GIB)])],
        uid=501,
        answers={"mac": mac, "listeners": listeners, **answers},
    )


def test_a_good_mac_is_sent_nothing() -> None:
    found = check()

    assert found.untouched
    assert len(found.asked) == 3


def test_a_bad_mac_is_sent_one_command_which_says_why_and_fails() -> None:
    found = check(without("tools", "console"))
    (command,) = found.sent
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("@fake/mac cannot be set up: 2 problems.")
    assert "xcode-select --install" in done.stderr
    assert "log in on the Mac's screen" in done.stderr


def test_a_dry_run_shows_the_problems_as_it_runs_no_command() -> None:
    found = check(without("console"))

    assert found.planned
    assert any("not logged in at the console" in line for line in found.everything)


def test_our_own_services_may_hold_the_ports() -> None:
    assert check(
        listeners=f"port\t3000\npid\t7\t1\t{OURS}\nport\t8080\npid\t8\t1\t{OURS}"
    ).untouched


def test_a_stranger_on_a_port_is_named() -> None:
    (command,) = check(listeners="port\t8080\npid\t7\t1\tnode server.js").sent

    assert "port 8080 (llama_swap_port)" in command
    assert "node server.js (pid 7)" in command


def test_another_users_process_on_a_port_is_a_problem() -> None:
    (command,) = check(listeners="port\t3000").sent

    assert "another user" in command


def test_our_own_job_may_run_in_another_directory_when_the_stack_moves() -> None:
    listeners = "port\t8080\npid\t77\t1\t/opt/homebrew/bin/llama-swap --config /old/config.yaml"
    mine = check(listeners=listeners, **{"launchctl print": loaded(DEFINITION, pid=77)})
    other = check(listeners=listeners, **{"launchctl print": NOT_LOADED})

    assert mine.untouched
    assert len(other.sent) == 1
