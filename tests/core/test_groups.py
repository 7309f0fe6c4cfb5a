"""Which models llama-swap keeps together, and what may therefore be preloaded."""

from typing import Any

import pytest

from herd.core.groups import together
from tests.core.samples import declare, problems, settings

TWO = {name: {"repo": f"me/{name}", "preload": True} for name in ("a", "b")}

CASES: dict[str, tuple[dict[str, Any], bool]] = {
    "no group": ({}, False),
    "one group that swaps": ({"g": {"members": ["a", "b"]}}, False),
    "one group that does not": ({"g": {"members": ["a", "b"], "swap": False}}, True),
    "two exclusive groups": ({"g": {"members": ["a"]}, "h": {"members": ["b"]}}, False),
    "one exclusive, the other persistent": (
        {"g": {"members": ["a"]}, "h": {"members": ["b"], "persistent": True, "exclusive": False}},
        True,
    ),
    "neither exclusive": (
        {"g": {"members": ["a"], "exclusive": False}, "h": {"members": ["b"], "exclusive": False}},
        True,
    ),
    "one beside the exclusive default": ({"g": {"members": ["a"], "exclusive": False}}, False),
}


@pytest.mark.parametrize("case", CASES)
def test_models_stay_loaded_together(case: str) -> None:
    """In both orders; a pair that cannot is refused where both are to be preloaded."""
    groups, expected = CASES[case]
    data = {"models": {"gpt-oss-120b": None, **TWO}, "llama_swap_groups": groups}

    found = [p for p in problems(declare(**data)) if "unloads" in p.what]
    assert bool(found) is not expected

    alone = {
        "models": {"gpt-oss-120b": None, **{n: m | {"preload": False} for n, m in TWO.items()}}
    }
    valid = settings(**alone, llama_swap_groups=groups)
    assert together(valid, "a", "b") is expected
    assert together(valid, "b", "a") is expected
