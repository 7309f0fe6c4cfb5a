"""Who listens on the ports of a stack: the answer of scripts/look/listeners.sh."""

import pytest
from pyinfra.api import FactProcessError

from herd.facts.listeners import Listener, Listeners, Process, parse

ROOT = "/Users/me/llama-swap"
SWAP = f"/opt/homebrew/bin/llama-swap --config {ROOT}/config.yaml"


def listener(*commands: str) -> Listener:
    return Listener({pid: Process(1, command) for pid, command in enumerate(commands, 11)})


def test_listeners_are_by_port() -> None:
    """Process 13 ended while it was asked about."""
    assert parse(
        [
            "port\t3000",
            f"pid\t11\t1\t\t{SWAP}",
            "pid\t12\t11\t/Users/me/x\tnode a\tb",
            "port\t8080",
            "port\t10001",
            "pid\t13\t\t\t",
        ]
    ) == {
        3000: Listener({11: Process(1, SWAP), 12: Process(11, "node a\tb", "/Users/me/x")}),
        8080: Listener(),
        10001: Listener(),
    }


def test_free_ports_are_not_mentioned() -> None:
    assert Listeners.default() == {}
    assert parse([]) == {}


@pytest.mark.parametrize(
    "line",
    ["3000", "port\tx", "port", "pid\tx\tnode", "pid\t5", "pid\t5\t1\tnode", "", "lsof: error"],
)
def test_garbage_fails_this_host_only(line: str) -> None:
    with pytest.raises(FactProcessError, match="not a listener"):
        parse([line])


def test_a_process_of_the_stack_names_its_directory() -> None:
    assert listener(SWAP).belongs_to(ROOT)
    assert not listener(SWAP).belongs_to("/Users/me/llama")
    assert not listener(SWAP.replace(ROOT, f"{ROOT}-two")).belongs_to(ROOT)


def test_of_several_processes_each_must_belong() -> None:
    assert not listener(SWAP, "node server.js").belongs_to(ROOT)


def test_a_process_that_only_root_may_see_is_not_ours() -> None:
    assert not Listener().belongs_to(ROOT)
    assert str(Listener()) == "another user's process"


def test_a_listener_is_named_shortly() -> None:
    """A long path in front does not hide what is run, nor with which arguments."""
    deep = f"/{'deep/' * 60}llama-swap --config config.yaml"
    shown = str(listener("node server.js", deep))
    assert shown.startswith("node server.js (pid 11), /deep/")
    assert shown.endswith("deep/llama-swap --config config.yaml (pid 12)")
    assert len(shown) < 220


def test_a_process_that_was_started_in_the_stacks_directory_belongs_to_it() -> None:
    """By hand, with relative paths: its command line names no place."""

    def started_in(directory: str) -> Listener:
        return Listener({11: Process(1, "llama-swap --config config.yaml", directory)})

    assert started_in(ROOT).belongs_to(ROOT)
    assert started_in(f"{ROOT}/proxy").belongs_to(ROOT)
    assert not started_in(f"{ROOT}-two").belongs_to(ROOT)
    assert not started_in("/Users/me").belongs_to(ROOT)
    assert not started_in("").belongs_to(ROOT)
