"""Layers of settings: which value holds, and where it is from."""

from typing import Any

from herd.core.settings.precedence import Layer, Merged, merge
from tests.core.samples import defaults, settings


def merged(*layers: tuple[str, dict[str, Any]]) -> Merged:
    return merge(Layer(source, data) for source, data in layers)


def test_one_line_changes_one_models_context_on_one_host() -> None:
    found = settings(
        models={
            "gpt-oss-120b": {"ctx_size": 131072},
        }
    )
    usual = settings()

    changed = found.models["gpt-oss-120b"].model_dump()
    assert changed.pop("ctx_size") == 131072
    assert changed == {
        k: v for k, v in usual.models["gpt-oss-120b"].model_dump().items() if k != "ctx_size"
    }


def test_a_host_adds_a_model_to_those_of_all_hosts() -> None:
    found = settings(models={"tiny": {"repo": "me/tiny-GGUF"}})

    assert list(found.models) == ["gpt-oss-120b", "tiny"]
    assert found.models["tiny"].ctx_size == defaults()["model_defaults"]["ctx_size"]


def test_none_removes_a_model_and_a_group() -> None:
    found = merged(
        ("all", {"models": {"a": {}, "b": {}}, "llama_swap_groups": {"g": {"members": ["a"]}}}),
        ("host", {"models": {"a": None}, "llama_swap_groups": {"g": None}}),
    )

    assert found.values == {"models": {"b": {}}, "llama_swap_groups": {}}


def test_a_removed_model_can_be_declared_anew_without_what_it_had() -> None:
    found = merged(
        ("all", {"models": {"a": {"repo": "x/y", "ttl": 5}}}),
        ("group", {"models": {"a": None}}),
        ("host", {"models": {"a": {"repo": "z/y"}}}),
    )

    assert found.values["models"] == {"a": {"repo": "z/y"}}


def test_the_last_layer_that_says_something_wins() -> None:
    found = merged(
        ("all", {"proxy_port": 1, "llama_swap_port": 1, "verify_timeout": 1, "x": 1}),
        ("group a", {"proxy_port": 2, "llama_swap_port": 2, "verify_timeout": 2}),
        ("group b", {"proxy_port": 3, "llama_swap_port": 3}),
        ("--data", {"proxy_port": 4}),
    )

    assert list(found.values.values()) == [4, 3, 2, 1]
    assert [found.source(key) for key in found.values] == ["--data", "group b", "group a", "all"]


def test_data_of_the_command_line_reaches_inside_a_model() -> None:
    found = merged(
        ("all", {"models": {"a": {"repo": "x/y", "ttl": 5}}}),
        ("host", {"models": {"a": {"ttl": 6}}}),
        ("--data", {"models": {"a": {"ttl": 7}}}),
    )

    assert found.values["models"] == {"a": {"repo": "x/y", "ttl": 7}}
    assert found.source("models.a.ttl") == "--data"
    assert found.source("models.a.repo") == "all"


def test_what_no_layer_says_inside_an_entry_comes_from_where_the_entry_does() -> None:
    found = merged(("all", {"models": {}}), ("host", {"models": {"qwen2.5": {"repo": "x/y"}}}))

    assert found.source("models.qwen2.5.ttl") == "host"
    assert found.source("models.other") == "all"
    assert found.source("never_set") == "group_data/all.py"


def test_lists_and_other_dictionaries_are_replaced_not_merged() -> None:
    found = merged(
        ("all", {"models": {"a": {"aliases": ["x", "y"]}}, "own": {"a": 1}}),
        ("host", {"models": {"a": {"aliases": ["z"]}}, "own": {"b": 2}}),
    )

    assert found.values == {"models": {"a": {"aliases": ["z"]}}, "own": {"b": 2}}


def test_a_default_that_is_none_stays_so_that_it_can_be_reported() -> None:
    found = merged(
        ("all", {"model_defaults": {"ttl": 0}}), ("host", {"model_defaults": {"ttl": None}})
    )

    assert found.values == {"model_defaults": {"ttl": None}}


def test_merging_changes_none_of_the_layers() -> None:
    below = {"models": {"a": {"repo": "x/y", "aliases": []}}}
    above: dict[str, Any] = {"models": {"a": {"ttl": 1}, "b": None}}
    merged(("all", below), ("host", above))

    assert below == {"models": {"a": {"repo": "x/y", "aliases": []}}}
    assert above == {"models": {"a": {"ttl": 1}, "b": None}}
