"""Which models fit where, how the sum is shown, and that each way to make it fit does."""

import re
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from herd.core.models.memory_estimate import Served
from herd.core.models.memory_fit import problems, together
from herd.core.models.memory_fixes import fixes
from herd.core.models.memory_sum import Limits, Sum
from herd.core.models.model_facts import Facts
from herd.core.settings.model_groups import sets
from herd.core.settings.model_groups import together as beside
from herd.core.text.units import GIB, MIB
from tests.core.models.test_gguf import GPT_OSS_120B
from tests.core.models.test_memory_estimate import FILES, use
from tests.core.samples import settings


def limits(size: int, *macos: int, **known: Any) -> Limits:
    return Limits.of(size * GIB, macos or (26,), reserve=8 * GIB, **known)


def model(name: str = "big", weights: int | None = None, **fields: Any) -> Served:
    files = FILES if weights is None else {"m.gguf": weights * GIB}
    return Served(name, use(**fields), files, GPT_OSS_120B)


# -- what a GPU may wire


@pytest.mark.parametrize(
    ("size", "macos", "mib"),
    [
        (8, 15, 5461),
        (16, 15, 10922),
        (32, 14, 21845),
        (64, 15, 49152),
        (96, 15, 73728),
        (512, 15, 393216),
        (16, 26, 12124),
        (24, 26, 18186),
        (36, 26, 28753),
        (64, 26, 53084),
        (128, 26, 110100),
    ],
)
def test_the_table_has_what_was_measured(size: int, macos: int, mib: int) -> None:
    """facts of ollama #17367, llama.cpp #1870 and #3213, llmfit #754, ds4 #893."""
    assert limits(size, macos).gpu // MIB == mib


def test_a_size_that_nobody_measured_is_given_the_share_of_the_next_smaller_one() -> None:
    found = limits(96, 26)

    assert found.gpu == 96 * GIB * 81 // 100
    assert "81 %" in found.source


def test_an_unknown_macos_is_taken_for_an_old_one() -> None:
    assert Limits.of(64 * GIB, (), reserve=0).gpu == 48 * GIB


def test_what_a_mac_says_itself_comes_first() -> None:
    said = limits(128, 26, wired_limit=114688 * MIB, gpu_memory=110100 * MIB)
    default = limits(128, 26, wired_limit=0, gpu_memory=99999 * MIB)

    assert (said.gpu, said.source) == (112 * GIB, "iogpu.wired_limit_mb")
    assert default.gpu == 99999 * MIB


# -- fits or not


@pytest.mark.parametrize(
    ("size", "macos", "fields", "fits"),
    [
        (96, 15, {"ctx_size": 131072}, True),
        (128, 15, {"ctx_size": 131072}, True),
        (128, 26, {"ctx_size": 131072, "parallel": 4}, True),
        (96, 15, {"ctx_size": 131072, "parallel": 4}, False),
        (64, 26, {"ctx_size": 8192}, False),
    ],
)
def test_gpt_oss_120b(size: int, macos: int, fields: dict[str, Any], fits: bool) -> None:
    assert Sum((model(**fields),), limits(size, macos)).fits is fits


def test_the_prompt_cache_is_in_memory_but_not_on_the_gpu() -> None:
    one = Sum((model(),), limits(128))
    other = Sum((model(extra_args=["--cache-ram", "0"]),), limits(128))

    assert one.gpu == other.gpu
    assert one.total - other.total == 8 * GIB


def test_the_sum_is_shown_term_by_term() -> None:
    assert Sum((model(ctx_size=131072),), limits(96, 15)).lines() == [
        "weights                      59.0 GiB  3 files, MXFP4_MOE",
        "KV cache, 18 full layers      4.5 GiB  131072 cells of 36,864 B (f16)",
        "KV cache, 18 sliding layers  27.0 MiB  768 cells of 36,864 B (f16)",
        "compute buffers               1.0 GiB  allowance at ubatch 512",
        "margin                        1.0 GiB  as llama-server's --fit leaves",
        "= GPU                        65.6 GiB  of 72.0 GiB: 3/4 of 96.0 GiB, the rule up to "
        "macOS 15",
        "prompt cache                  8.0 GiB  --cache-ram, llama-server's default",
        "context checkpoints          76.5 MiB  of windows and states",
        "macOS and others              8.0 GiB  preflight_memory_reserve_gb",
        "= memory                     80.6 GiB  of 96.0 GiB; no margin counts",
    ]


def test_of_several_models_each_term_has_a_name_and_notes_come_last() -> None:
    new = GPT_OSS_120B.model_copy(update={"architecture": "brand-new"})
    found = Sum((model("a", 5), Served("b", use(), {}, new)), limits(128)).lines()

    assert found[0].startswith("a: weights ")
    assert sum(line.startswith("b: ") for line in found) == 4
    assert found[-1].startswith("note: b: architecture brand-new is unknown here")


# -- ways to make it fit


def test_a_smaller_prompt_cache_is_the_cheapest_where_only_memory_lacks() -> None:
    found = fixes(Sum((model("small", 5),), limits(16)))

    assert found[0] == 'small: extra_args with "--cache-ram", "1536"'


def test_the_gpu_may_be_given_more_where_memory_is_left() -> None:
    served = model("m", 46, ctx_size=32768, extra_args=["--cache-ram", "1024"])

    assert fixes(Sum((served,), limits(64, 15)))[0] == (
        "let the GPU wire 49.5 GiB: mac_gpu_wired_limit_mb = 50688"
    )


def test_fewer_slots_a_smaller_context_and_smaller_types_are_computed() -> None:
    candidate = Sum((model(ctx_size=131072, parallel=4),), limits(96, 15))

    assert fixes(candidate, most=4) == [
        "let the GPU wire 79.5 GiB: mac_gpu_wired_limit_mb = 81408",
        'big: cache_type_k and cache_type_v = "q8_0"',
        "big: ctx_size = 77824 instead of 131072",
        "big: parallel = 2 instead of 4",
    ]
    assert len(fixes(candidate)) == 3


def test_where_one_change_is_not_enough_two_are_named() -> None:
    found = fixes(Sum((model("m", 44, ctx_size=131072, parallel=4),), limits(64)))

    assert any(", and " in way for way in found)


def test_models_that_fit_alone_may_take_turns() -> None:
    found = fixes(Sum((model("a"), model("b", 20)), limits(96)))

    assert found[0] == (
        "one of a, b at a time: one group of llama_swap_groups with swap = True; or, with "
        "llama_swap_matrix, no set that has them together"
    )


def test_weights_that_fit_nowhere_need_a_smaller_quantisation_or_a_larger_mac() -> None:
    assert fixes(Sum((model(),), limits(64))) == [
        "big: a quantisation of at most 46.7 GiB instead of 59.0 GiB",
        "a Mac with 96 GB",
    ]


_MODELS = st.builds(
    lambda weights, ctx, slots, types, cram: {
        "weights": weights,
        "ctx_size": ctx,
        "parallel": slots,
        "cache_type_k": types,
        "cache_type_v": types,
        "extra_args": cram,
    },
    st.integers(1, 120),
    st.sampled_from([0, 4096, 8192, 32768, 131072]),
    st.sampled_from([1, 2, 4, 16]),
    st.sampled_from(["f16", "q8_0", "q4_0"]),
    st.sampled_from([[], ["--cache-ram", "1000"], ["--cache-ram", "0"], ["-kvu"]]),
)


@examples(max_examples=30, deadline=None)
@given(st.lists(_MODELS, min_size=1, max_size=2), st.sampled_from([16, 36, 64, 96, 128, 192]))
def test_every_way_that_names_its_numbers_does_make_it_fit(
    models: list[dict[str, Any]], size: int
) -> None:
    """The changes are read from the text again, as a person would apply them."""
    served = {f"m{number}": dict(fields) for number, fields in enumerate(models)}
    has = limits(size)
    candidate = Sum(tuple(model(name, **fields) for name, fields in served.items()), has)
    if candidate.fits:
        return
    for way in fixes(candidate):
        changed = {name: dict(fields) for name, fields in served.items()}
        gpu = re.search(r"mac_gpu_wired_limit_mb = (\d+)", way)
        if "llama_swap_groups" in way:
            for name, fields in changed.items():
                assert Sum((model(name, **fields),), has).fits
            continue
        if found := re.search(r"a Mac with (\d+) GB", way):
            has_then = limits(int(found[1]))
        elif "quantisation" in way:
            continue
        else:
            has_then = limits(size, wired_limit=int(gpu[1]) * MIB) if gpu else has
        for name, setting, value in re.findall(r"(m\d): (ctx_size|parallel) = (\d+)", way):
            changed[name][setting] = int(value)
        for name in re.findall(r"(m\d): cache_type_k", way):
            changed[name] |= {"cache_type_k": "q8_0", "cache_type_v": "q8_0"}
        for name, value in re.findall(r'(m\d): extra_args with "--cache-ram", "(\d+)"', way):
            changed[name]["extra_args"] = [*changed[name]["extra_args"], "--cache-ram", value]
        then = Sum(tuple(model(name, **fields) for name, fields in changed.items()), has_then)
        assert then.fits, way


# -- problems of a host


def test_a_misfit_is_a_problem_with_its_sum_and_its_ways() -> None:
    (found,) = problems([[model()]], limits(64))

    assert found.where == "memory for big"
    assert found.what.splitlines()[0] == (
        "It does not fit: it takes 9.5 GiB more than its GPU may wire and 12.4 GiB more than its "
        "memory."
    )
    assert "  = GPU                        61.3 GiB  of 51.8 GiB" in found.what
    assert found.fix.splitlines()[1:] == [
        "  - big: a quantisation of at most 46.7 GiB instead of 59.0 GiB.",
        "  - a Mac with 96 GB.",
    ]


def test_what_fits_is_no_problem() -> None:
    assert problems([[model()], [model("b", 3)]], limits(96)) == []


def test_a_header_that_says_too_little_is_a_problem() -> None:
    (found,) = problems([[Served("m", use(), {}, Facts(architecture="x"))]], limits(96))

    assert found.what.startswith("Its GGUF header has no block_count")


# -- what may be loaded together


def grouped(**groups: Any) -> Any:
    models = {name: {"repo": f"me/{name}"} for name in "abcde"}
    return settings(models={"gpt-oss-120b": None, **models}, llama_swap_groups=groups)


@pytest.mark.parametrize(
    ("groups", "wanted"),
    [
        ({}, ["a", "b", "c", "d", "e"]),
        ({"g": {"members": ["a", "b"], "swap": False}}, ["ab", "c", "d", "e"]),
        (
            {"g": {"members": ["a", "b"], "swap": False, "exclusive": False, "persistent": True}},
            ["abc", "abd", "abe"],
        ),
        ({"g": {"members": ["a", "b"], "exclusive": False}}, ["a", "b", "c", "d", "e"]),
        (
            {
                "g": {"members": ["a", "b"], "exclusive": False, "persistent": True},
                "h": {"members": ["c", "d"], "exclusive": False, "persistent": True},
            },
            ["ace", "ade", "bce", "bde"],
        ),
    ],
)
def test_sets_follow_the_groups(groups: dict[str, Any], wanted: list[str]) -> None:
    assert ["".join(found) for found in sets(grouped(**groups), "abcde")] == wanted


def test_sets_hold_only_models_that_are_known() -> None:
    wanted = grouped(g={"members": ["a", "b", "c"], "swap": False})
    found = together(wanted, {"b": ({}, GPT_OSS_120B), "c": ({}, GPT_OSS_120B)})

    assert [[served.name for served in each] for each in found] == [["b", "c"]]
    assert together(wanted, {}) == []


_GROUPS = st.fixed_dictionaries(
    {"swap": st.booleans(), "exclusive": st.booleans(), "persistent": st.booleans()}
)


@examples(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from("ghi-"), min_size=5, max_size=5), st.lists(_GROUPS, min_size=3))
def test_sets_are_complete_and_none_could_be_larger(places: list[str], rules: list[Any]) -> None:
    groups = {}
    for name, rule in zip("ghi", rules, strict=False):
        if members := [m for m, place in zip("abcde", places, strict=True) if place == name]:
            groups[name] = {"members": members, **rule}
    wanted = grouped(**groups)
    every = [
        set(chosen)
        for size in range(1, 6)
        for chosen in combinations("abcde", size)
        if all(beside(wanted, *pair) for pair in combinations(chosen, 2))
    ]
    largest = [one for one in every if not any(one < other for other in every)]

    assert sorted(map(sorted, sets(wanted, "abcde"))) == sorted(map(sorted, largest))
