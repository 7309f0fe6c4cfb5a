"""The caches of published models are those that llama.cpp lays out."""

import json
from pathlib import Path
from typing import Any

import pytest

from herd.core.models import caches
from herd.core.models.gguf import Facts
from herd.core.models.memory_estimate import Served, Use, kv_cache, terms
from herd.core.text.units import MIB

FULL_OF_MIMO = {0, 5, 11, 17, 23, 29, 35, 41, 47}

# Hyper-parameters as published, with what llama.cpp (build 11434, from source, on Linux's CPU) says
# of its context on 2026-11-28, in bytes: at 32768 tokens in f16, and at 65536 in q8_0 for four
# slots. Each was loaded without tensors (llama_model_init_from_user, no_alloc), and asked by
# llama_get_memory_breakdown.
PUBLISHED = [
    json.loads(line)
    for line in Path(__file__).with_name("published.jsonl").read_text().splitlines()
]
# The same of llama-fit-params (build 11434), in whole MiB: at 32768 tokens in f16 and in q8_0.
PRINTED: dict[str, tuple[dict[str, Any], int, int]] = {
    "gpt-oss 20B": (
        dict(
            architecture="gpt-oss",
            block_count=24,
            context_length=131072,
            embedding_length=2880,
            head_count=64,
            head_count_kv=8,
            key_length=64,
            value_length=64,
            sliding_window=128,
        ),
        786,
        417,
    ),
    "Gemma 3n E4B": (
        dict(
            architecture="gemma3n",
            block_count=35,
            context_length=32768,
            embedding_length=2048,
            head_count=8,
            head_count_kv=2,
            key_length=256,
            value_length=256,
            sliding_window=512,
            sliding_window_pattern=[layer % 5 != 4 for layer in range(35)],
            shared_kv_layers=15,
        ),
        288,
        153,
    ),
    "MiMo V2 Flash": (
        dict(
            architecture="mimo2",
            block_count=48,
            context_length=262144,
            embedding_length=4096,
            head_count=64,
            head_count_kv=[4 if layer in FULL_OF_MIMO else 8 for layer in range(48)],
            key_length=192,
            value_length=128,
            sliding_window=128,
            sliding_window_pattern=[layer not in FULL_OF_MIMO for layer in range(48)],
        ),
        866,
        460,
    ),
}


def context(use: Use, facts: Facts) -> int:
    """What llama.cpp calls so: caches, and states of all slots."""
    cache = sum(layers.size for layers in kv_cache(use, facts))
    return cache + use.parallel * caches.states(facts)


@pytest.mark.parametrize("model", PUBLISHED, ids=lambda model: model["name"])
def test_the_context_is_what_llama_cpp_says(model: dict[str, Any]) -> None:
    facts = Facts(**model["keys"])

    assert context(Use(32768, 1), facts) == model["f16"]
    assert context(Use(65536, 4, "q8_0", "q8_0"), facts) == model["q8_0"]


@pytest.mark.parametrize(("keys", "f16", "q8_0"), PRINTED.values(), ids=PRINTED)
def test_the_context_is_what_llama_fit_params_prints(
    keys: dict[str, Any], f16: int, q8_0: int
) -> None:
    facts = Facts(**keys)

    assert context(Use(32768, 1), facts) // MIB == f16
    assert context(Use(32768, 1, "q8_0", "q8_0"), facts) // MIB == q8_0


def test_every_architecture_of_these_is_known() -> None:
    known = [model["keys"] for model in PUBLISHED] + [keys for keys, *_ in PRINTED.values()]

    assert all(caches.is_known(keys["architecture"]) for keys in known)


def keys_of(name: str) -> dict[str, Any]:
    (found,) = (model["keys"] for model in PUBLISHED if model["name"] == name)
    return dict(found)


def test_a_window_that_a_header_calls_none_is_none() -> None:
    keys = keys_of("Llama 4 Scout")

    assert caches.window(Facts(**keys)) == 8192
    assert caches.window(Facts(**keys, sliding_window=0)) == 0


def test_a_small_exaone_has_no_window() -> None:
    keys = keys_of("EXAONE 4 32B")

    assert caches.window(Facts(**keys)) == 4096
    assert caches.window(Facts(**{**keys, "block_count": 30})) == 0


def test_what_reads_a_text_at_once_has_no_cache() -> None:
    facts = Facts(
        architecture="bert", block_count=12, context_length=512, embedding_length=384, head_count=12
    )
    found = {term.name for term in terms(Served("m", Use(512, 1), {"m": 1}, facts))}

    assert found == {"weights", "compute buffers", "prompt cache"}
