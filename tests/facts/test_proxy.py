"""Which releases of the proxy are there: the answer of scripts/look/proxy-state.sh."""

import pytest
from pyinfra.api import FactProcessError

from herd.facts.proxy import Availability, Installed, Releases


def process(*lines: str) -> Installed:
    fact = Releases()
    fact.command("/Users/me/my stack/proxy")
    return fact.process(lines)


def test_whole_and_junk_are_told_apart_by_absolute_paths() -> None:
    assert process("whole release-0123", "junk release-4567.new", "junk env-3.12 x") == Installed(
        whole=frozenset({"/Users/me/my stack/proxy/release-0123"}),
        junk=frozenset(
            {"/Users/me/my stack/proxy/release-4567.new", "/Users/me/my stack/proxy/env-3.12 x"}
        ),
    )


def test_without_the_directory_nothing_is_there() -> None:
    assert Releases.default() == Installed(frozenset(), frozenset())


@pytest.mark.parametrize("line", ["sh: cannot open", "", "whole", "broken env-3.12"])
def test_garbage_fails_this_host_only(line: str) -> None:
    with pytest.raises(FactProcessError, match="not a release"):
        process(line)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('{"state": "drain", "reason": "a new disk"}', "drain: a new disk"),
        ('{"state": "maint", "reason": ""}', "maint"),
        ("", ""),
        ("[]", ""),
        ('{"state"', ""),
    ],
)
def test_what_the_owner_said_of_new_requests(said: str, told: str) -> None:
    assert Availability().process(said.splitlines()) == told
