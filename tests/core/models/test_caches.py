"""The caches of published models are those that llama.cpp lays out."""

import json
from pathlib import Path
from typing import Any

import pytest

from herd.core.models import caches
from herd.core.models.kv_cache import held, kv_cache
from herd.core.models.memory_estimate import Served, terms
from herd.core.models.memory_use import Use
from herd.core.models.model_facts import Facts
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


# Laid out by llama-server (build 11434) at 2048 tokens for each of two slots, as its log has it.
HEADS: dict[str, tuple[dict[str, Any], int | None]] = {
    # A hybrid of recurrent layers with a head of its own, and that head in a file by itself.
    "qwen35": (
        {
            **{"architecture": "qwen35", "block_count": 5, "nextn_predict_layers": 1},
            **{"head_count": 2, "head_count_kv": 2, "key_length": 128, "value_length": 128},
            **{"full_attention_interval": 2, "ssm_inner_size": 256, "ssm_state_size": 128},
        },
        4 * MIB,
    ),
    "none": ({"architecture": "qwen35", "block_count": 4}, None),
    "caches of its model": (
        {"architecture": "gemma4-assistant", "block_count": 4, "nextn_predict_layers": 4},
        None,
    ),
}


@pytest.mark.parametrize(("keys", "wanted"), HEADS.values(), ids=HEADS)
def test_layers_that_predict_have_caches_of_their_own(
    keys: dict[str, Any], wanted: int | None
) -> None:
    found = caches.predicting(Facts(context_length=4096, embedding_length=256, **keys))

    assert (found and held(Use(4096, 2), found)) == wanted


def test_a_head_that_drafts_by_the_caches_of_its_model_has_none() -> None:
    facts = Facts(architecture="gemma4-assistant", block_count=4, head_count=2, embedding_length=64)

    assert held(Use(4096, 2), facts) == 0


def test_what_drafts_is_in_the_sum_whatever_it_is() -> None:
    keys, wanted = HEADS["qwen35"]
    facts = Facts(context_length=4096, embedding_length=256, **keys)
    head = caches.predicting(facts)
    own = Served("m", Use(4096, 2, predicts=True), {"m": 1}, facts)
    beside = Served("m", Use(4096, 2), {"m": 1, "mtp-m": 1}, facts, head)

    for served in (own, beside):
        found = {term.name: term.size for term in terms(served)}
        assert found["KV cache of the draft"] == wanted
        assert found["compute buffers of the draft"] > 0
