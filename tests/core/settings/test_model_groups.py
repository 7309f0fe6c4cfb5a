"""Which models llama-swap keeps in memory together (from documentation: its `groups`)."""

from typing import Any

import pytest

from herd.core.settings.model_groups import preload_conflicts, together
from herd.core.settings.schema import Settings
from tests.core.samples import declare, problems, settings


def fleet(preload: bool = True, **groups: dict[str, Any]) -> Settings:
    models = {name: {"repo": f"me/{name}", "preload": preload} for name in ("a", "b", "c")}
    return settings(models={"gpt-oss-120b": None, **models}, llama_swap_groups=groups)


def group(*members: str, **rule: bool) -> dict[str, Any]:
    return {"members": list(members), **rule}


def test_models_of_no_group_replace_each_other() -> None:
    assert not together(fleet(preload=False), "a", "b")


def test_members_of_a_group_stay_together_only_where_it_does_not_swap() -> None:
    own = fleet(preload=False, g=group("a", "b"), h=group("c"))
    assert not together(own, "a", "b")
    own = fleet(preload=False, g=group("a", "b", swap=False), h=group("c"))
    assert together(own, "a", "b")


@pytest.mark.parametrize(
    ("g", "h", "stay"),
    [
        ({}, {}, False),
        ({"exclusive": False}, {}, False),
        ({"exclusive": False}, {"exclusive": False}, True),
        ({"persistent": True}, {"exclusive": False}, False),
        ({"persistent": True, "exclusive": False}, {}, True),
        ({"persistent": True}, {"persistent": True}, True),
    ],
    ids=str,
)
def test_models_of_two_groups_stay_where_neither_unloads_the_other(
    g: dict[str, bool], h: dict[str, bool], stay: bool
) -> None:
    own = fleet(preload=False, g=group("a", **g), h=group("b", "c", **h))

    assert together(own, "a", "b") is together(own, "b", "a") is stay


def test_models_to_preload_that_stay_together_are_fine() -> None:
    assert preload_conflicts(fleet(g=group("a", "b", "c", swap=False))) == []


def test_each_pair_that_cannot_be_preloaded_is_reported() -> None:
    found = problems(
        declare(
            models={
                "gpt-oss-120b": {"preload": True},
                "a": {"repo": "me/a", "preload": True},
                "b": {"repo": "me/b"},
            }
        )
    )

    (problem,) = found
    assert problem.where.startswith("mac1: models.a.preload, from host mac1")
    assert problem.what == "Loading 'a' unloads 'gpt-oss-120b', and both are to be preloaded."
