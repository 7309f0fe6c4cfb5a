"""How many requests each model serves at once."""

import json
from typing import Any

import pytest

from proxy.keys.key import Limits
from proxy.keys.keys_file import parse_keys
from proxy.keys.keys_file_entry import read_entry
from proxy.keys.slots import RULE, Slots, SlotTable, read_slots
from tests.proxy.support.policy import ANNA, entry

TABLE = SlotTable([Slots(("big", "gpt"), 2), Slots(("small",), 1)])


def test_a_model_is_one_by_all_its_names() -> None:
    assert TABLE.of("gpt") is TABLE.of("big")
    assert (TABLE.name_of("gpt"), TABLE.name_of("other")) == ("big", "other")
    assert (TABLE.total, SlotTable().total) == (3, None)


@pytest.mark.parametrize(
    ("model", "running", "taken"),
    [
        ("big", [], False),
        ("big", ["gpt", "small", "other", None], False),
        ("big", ["gpt", "big"], True),
        ("gpt", ["big", "big", "big"], True),
        ("small", ["small"], True),
        ("other", ["other"] * 9, False),
        (None, [None], False),
    ],
)
def test_when_they_are_taken(model: str | None, running: list[str | None], taken: bool) -> None:
    assert bool(TABLE.taken(model, running)) is taken


@pytest.mark.parametrize(
    "value",
    [
        {"big": 4}, ["big"], [{}], [{"names": ["a"]}], [{"names": [], "slots": 1}],
        [{"names": ["a"], "slots": 0}], [{"names": ["a"], "slots": True}],
        [{"names": ["a"], "slots": 1.0}], [{"names": "a", "slots": 1}],
        [{"names": ["a", 1], "slots": 1}], [{"names": [""], "slots": 1}],
        [{"names": ["a"], "slots": 1, "more": 1}], [{"names": ["a"], "slots": 5000}],
        [{"names": ["a", "a"], "slots": 1}],
        [{"names": ["a"], "slots": 1}, {"names": ["b", "a"], "slots": 1}], None, 4,
    ],
)  # fmt: skip
def test_what_has_two_meanings_or_none_is_refused(value: Any) -> None:
    assert read_slots(value)[1] == [RULE]
    with pytest.raises(ValueError, match='"slots" must be a list'):
        parse_keys(json.dumps({"apiKeys": [entry("anna", ANNA)], "slots": value}))


def test_they_stand_in_the_file_with_the_keys() -> None:
    slots = [{"names": ["big", "gpt"], "slots": 4}]
    keys = parse_keys(json.dumps({"apiKeys": [entry("anna", ANNA)], "slots": slots}))

    assert keys.slots.of("gpt") == Slots(("big", "gpt"), 4)
    assert keys.with_granted([]).slots.total == 4


def test_a_gateways_key_has_neither_limits_nor_more_scopes() -> None:
    """It speaks for others, who have theirs."""
    good = read_entry(1, entry("gateway", ANNA, gateway=True, scopes=["inference", "metrics"]))
    assert good.key is not None
    assert good.key.gateway
    assert good.key.limits == Limits()
    plain = read_entry(1, entry("anna", ANNA, gateway=False, rpm=5)).key
    assert plain is not None
    assert not plain.gateway

    for more, says in (
        ({"gateway": "yes"}, "neither true nor false"),
        ({"gateway": 1}, "neither true nor false"),
        ({"gateway": None}, "neither true nor false"),
        ({"gateway": True, "rpm": 5}, "leave the limits out"),
        ({"gateway": True, "scopes": ["inference", "admin"]}, "inference and metrics only"),
        ({"gateway": True, "scopes": ["files"]}, "inference and metrics only"),
    ):
        [fault] = read_entry(1, entry("gateway", ANNA, **more)).faults
        assert says in fault
