"""Whether a Mac takes requests, in its own words."""

import pytest

from herd.facts.ready import Readiness, Ready


@pytest.mark.parametrize(
    ("said", "out"),
    [
        (["200"], ""),
        (["503"], "it answers 503 on /readyz"),
        (["000"], "its proxy does not answer"),
        ([], "its proxy does not answer"),
        (["503", '{"state": "drain", "reason": "a new disk"}'], "drain: a new disk"),
        (["000", '{"state": "maint"}'], "maint"),
        (["200", "nonsense"], ""),
    ],
)
def test_what_a_mac_says(said: list[str], out: str) -> None:
    assert Readiness().process(said).out == out


def test_nobody_who_is_not_asked_is_ready() -> None:
    assert Ready().out
