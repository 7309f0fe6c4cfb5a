"""A matrix means here what llama-swap v250 makes of it."""

from typing import Any

import pytest
import yaml

from herd.core.files import templates
from herd.core.mac.layout import Layout
from herd.core.mac.llama_server_flags import CURRENT
from herd.core.settings import model_groups
from herd.core.settings.schema import Settings
from herd.core.settings.swap_matrix import Matrix
from tests.core.samples import declare, problems, resolved, settings

NAMES = ("a", "b", "c", "d")
MODELS: dict[str, Any] = {
    "gpt-oss-120b": None,
    **{name: {"repo": f"me/{name}-GGUF"} for name in NAMES},
}


def fleet(sets: dict[str, str], preload: tuple[str, ...] = (), **matrix: Any) -> Settings:
    models = {n: m and {**m, "preload": n in preload} for n, m in MODELS.items()}
    return settings(models=models, llama_swap_matrix={"sets": sets, **matrix})


WAYS: dict[str, tuple[dict[str, str], list[str]]] = {
    "one": ({"s": "a"}, ["a"]),
    "together": ({"s": "a & b"}, ["ab"]),
    "one of two": ({"s": "a | b"}, ["a", "b"]),
    "and goes before or": ({"s": "a & b | c"}, ["ab", "c"]),
    "parentheses": ({"s": "a & (b | c)"}, ["ab", "ac"]),
    "nested": ({"s": "(a | b) & (c | d)"}, ["ac", "ad", "bc", "bd"]),
    "a part of another adds nothing": ({"s": "a", "t": "a & b"}, ["ab"]),
    "several sets": ({"s": "a & b", "t": "c & d"}, ["ab", "cd"]),
    "another set": ({"s": "+t & a", "t": "b | c"}, ["ab", "ac"]),
    "a set that comes later, twice": ({"s": "+t & c", "u": "+t", "t": "a & b"}, ["abc"]),
    "no blanks": ({"s": "a&(b|c)"}, ["ab", "ac"]),
    "the same twice": ({"s": "a & a"}, ["a"]),
}


@pytest.mark.parametrize(("sets", "ways"), WAYS.values(), ids=WAYS)
def test_its_ways_are_the_largest_combinations(sets: dict[str, str], ways: list[str]) -> None:
    found = Matrix(sets=sets).ways()

    assert sorted("".join(sorted(way)) for way in found) == ways


def test_short_names_stand_for_models() -> None:
    matrix = Matrix(vars={"g": "gpt oss/120b"}, sets={"s": "g & a"})

    assert matrix.ways() == [frozenset({"gpt oss/120b", "a"})]


def test_who_may_be_beside_whom_is_what_memory_is_summed_of() -> None:
    own = fleet({"s": "a & (b | c)"})

    assert model_groups.together(own, "a", "b")
    assert not model_groups.together(own, "b", "c")
    assert model_groups.sets(own, NAMES) == [("a", "b"), ("a", "c"), ("d",)]
    assert model_groups.sets(own, ["b", "c", "d"]) == [("b",), ("c",), ("d",)]


def test_models_to_preload_must_all_be_in_one_combination() -> None:
    """Each two of them may be together, and all three not."""
    pairs = {"s": "a & b", "t": "b & c", "u": "a & c"}
    models = {n: m and {**m, "preload": n in "abc"} for n, m in MODELS.items()}

    assert fleet({"s": "a & b & c"}, preload=("a", "b", "c")).preload == ["a", "b", "c"]
    (problem,) = problems(declare(models=models, llama_swap_matrix={"sets": pairs}))
    assert "Loading 'c' unloads 'b'" in problem.what
    assert "a set of llama_swap_matrix" in problem.fix


def test_it_is_rendered_as_llama_swap_has_it() -> None:
    own = fleet({"z": "a & b", "a": "c"}, vars={"x": "a"}, evict_costs={"x": 30, "b": 2})
    files = [resolved(name=name) for name in NAMES]
    text = templates.config(Layout(own, "/Users/me"), files, CURRENT, preload=[])
    found = yaml.safe_load(text)

    assert found["matrix"] == {
        "vars": {"x": "a"},
        "evict_costs": {"x": 30, "b": 2},
        "sets": {"z": "a & b", "a": "c"},
    }
    assert list(found["matrix"]["sets"]) == ["z", "a"]  # the first of equals is taken
    assert "groups" not in found


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no set": ({"sets": {}}, "at least 1"),
    "nothing in it": ({"sets": {"s": " "}}, "ends too early"),
    "an end that is none": ({"sets": {"s": "a &"}}, "ends too early"),
    "no model between": ({"sets": {"s": "a & | b"}}, "has '|' where a model is to be"),
    "an open parenthesis": ({"sets": {"s": "(a | b"}}, "does not close a parenthesis"),
    "a closed one": ({"sets": {"s": "a)"}}, "goes on with ')'"),
    "two models side by side": ({"sets": {"s": "a b"}}, "goes on with 'b'"),
    "another sign": ({"sets": {"s": "a / b"}}, "holds '/'"),
    "a plus alone": ({"sets": {"s": "a & +"}}, "holds '+'"),
    "a stranger": ({"sets": {"s": "a & nobody"}}, "no model 'nobody', which the set"),
    "a set that is not there": ({"sets": {"s": "a & +t"}}, "There is no set 't'"),
    "a circle": ({"sets": {"s": "+t", "t": "+s & a"}}, "leads to itself"),
    "a name for a stranger": (
        {"vars": {"x": "nobody"}, "sets": {"s": "x"}},
        "no model 'nobody', for which vars has 'x'",
    ),
    "a name with a blank": ({"vars": {"x y": "a"}, "sets": {"s": "a"}}, "does not look like"),
    "a price of nothing": ({"evict_costs": {"a": 0}, "sets": {"s": "a"}}, "greater than or equal"),
    "a price for a stranger": (
        {"evict_costs": {"nobody": 2}, "sets": {"s": "a"}},
        "no model 'nobody', which evict_costs has",
    ),
    "another key": ({"set": {}, "sets": {"s": "a"}}, "did you mean sets?"),
}


@pytest.mark.parametrize(("matrix", "told"), BAD.values(), ids=BAD)
def test_what_llama_swap_would_refuse_is_told_before(matrix: dict[str, Any], told: str) -> None:
    found = problems(declare(models=MODELS, llama_swap_matrix=matrix))

    assert told in "\n".join(f"{problem.what} {problem.fix}" for problem in found)


def test_groups_and_a_matrix_do_not_go_together() -> None:
    groups = {"g": {"members": ["a", "b"]}}
    host = declare(models=MODELS, llama_swap_groups=groups, llama_swap_matrix={"sets": {"s": "a"}})

    (problem,) = problems(host)
    assert problem.what == "There are llama_swap_groups, too."


def test_a_fault_elsewhere_hides_nothing_of_it() -> None:
    host = declare(models=MODELS, proxy_port="3000", llama_swap_matrix={"sets": {"s": "nobody"}})
    found = [problem.where.partition(",")[0] for problem in problems(host)]

    assert found == ["mac1: proxy_port", "mac1: llama_swap_matrix"]


def test_more_combinations_than_anybody_sums_up_are_refused() -> None:
    wide = " & ".join(f"(a{n} | b{n})" for n in range(20))

    with pytest.raises(ValueError, match="more than 2000 combinations"):
        Matrix(sets={"s": wide}).ways()
