"""What a llama-server takes of memory: the figures of real models, and what arguments change."""

from typing import Any

import pytest

from herd.core.models.kv_cache import kv_cache
from herd.core.models.memory_estimate import Served, notes, terms
from herd.core.models.memory_use import CACHE_RAM, Use
from herd.core.models.model_facts import Facts
from herd.core.text.units import GIB, MIB
from tests.core.models.test_gguf import GPT_OSS_120B
from tests.core.samples import one_model

# ggml-org/gpt-oss-120b-GGUF: 63,387,346,464 bytes in three splits (LlamaBarn's catalog).
FILES = {"1.gguf": 12_582_912, "2.gguf": 32_212_254_720, "3.gguf": 31_162_508_832}


def use(**fields: Any) -> Use:
    return Use.of(one_model(**fields).models["tiny"])


def sizes(facts: Facts = GPT_OSS_120B, **fields: Any) -> dict[str, int]:
    return {term.name: term.size for term in terms(Served("m", use(**fields), FILES, facts))}


def cache(facts: Facts = GPT_OSS_120B, **fields: Any) -> int:
    return sum(layers.size for layers in kv_cache(use(**fields), facts))


@pytest.mark.parametrize(
    ("ctx_size", "f16", "q8_0", "q4_0"),
    [
        (8192, 315, 167, 89),
        (32768, 1179, 626, 332),
        (65536, 2331, 1238, 656),
        (131072, 4635, 2462, 1304),
    ],
)
def test_gpt_oss_120b(ctx_size: int, f16: int, q8_0: int, q4_0: int) -> None:
    for kind, wanted in (("f16", f16), ("q8_0", q8_0), ("q4_0", q4_0)):
        found = cache(ctx_size=ctx_size, cache_type_k=kind, cache_type_v=kind)
        assert round(found / MIB) == wanted


def test_gpt_oss_120b_term_by_term() -> None:
    found = terms(Served("m", use(ctx_size=131072), FILES, GPT_OSS_120B))

    assert [(term.name, term.size, term.gpu) for term in found] == [
        ("weights", 63_387_346_464, True),
        ("KV cache, 18 full layers", 131072 * 36864, True),
        ("KV cache, 18 sliding layers", 768 * 36864, True),
        ("compute buffers", GIB, True),
        ("prompt cache", 8 * GIB, False),
        ("context checkpoints", 17 * 128 * 36864, False),
    ]
    assert sum(term.size for term in found if term.gpu) / GIB == pytest.approx(64.6, abs=0.05)


def test_it_agrees_with_a_log_of_gpt_oss_120b_before_windows_were_padded() -> None:
    """intel/AI-Playground #325: 2016 cells of the full layers are 35.44 + 35.44 MiB, and 640 of
    the sliding ones 22.5 MiB."""
    full, sliding = kv_cache(use(), GPT_OSS_120B)

    assert 2016 * full.cell / MIB == pytest.approx(70.88, abs=0.01)
    assert 640 * sliding.cell / MIB == 22.5
    assert sliding.cells == 768


def test_slots_have_each_their_own_cells() -> None:
    assert cache(ctx_size=8192, parallel=4) == 4 * cache(ctx_size=8192)


def test_slots_that_share_cells_have_windows_for_all_of_them() -> None:
    full, sliding = kv_cache(use(parallel=4, extra_args=["-kvu"]), GPT_OSS_120B)

    assert (full.cells, full.streams) == (4 * 8192, 1)
    assert sliding.cells == 4 * 128 + 512


def test_full_windows_are_as_large_as_the_context() -> None:
    assert cache(extra_args=["--swa-full"]) == 8192 * 2 * 36864


def test_no_context_is_that_of_the_model() -> None:
    assert cache(ctx_size=0) == cache(ctx_size=131072)


def test_arguments_that_no_setting_writes_are_counted() -> None:
    found = sizes(extra_args=["--cache-ram", "512", "--ctx-checkpoints", "0", "-ub", "2048"])

    assert found["prompt cache"] == 512 * MIB
    assert "context checkpoints" not in found
    assert found["compute buffers"] == 3 * GIB


def test_a_prompt_cache_without_limit_is_said_to_be() -> None:
    served = Served("m", use(extra_args=["-cram", "-1"]), FILES, GPT_OSS_120B)

    assert served.use.cache_ram == CACHE_RAM
    assert notes(served) == ["--cache-ram has no limit; it is counted as the default"]


def test_what_is_not_counted_is_said() -> None:
    (note,) = notes(Served("m", use(extra_args=["-cmoe"]), FILES, GPT_OSS_120B))

    assert note.startswith("-cmoe is not counted")


@pytest.mark.parametrize("words", [["-ub"], ["-ub", "many"], ["--cache-ram", ""]])
def test_arguments_that_llama_server_will_refuse_change_nothing(words: list[str]) -> None:
    if "" in words:
        words = [*words[:-1], "x"]
    assert use(extra_args=words) == use()


def test_the_cache_may_stay_off_the_gpu() -> None:
    found = terms(Served("m", use(extra_args=["-nkvo"]), FILES, GPT_OSS_120B))

    assert {term.name for term in found if term.gpu} == {"weights", "compute buffers"}


def test_scores_are_in_memory_without_flash_attention() -> None:
    with_it, without = sizes(ctx_size=131072), sizes(ctx_size=131072, flash_attention="off")

    # 64 heads, 512 tokens and 131072 cells, in f32.
    assert without["compute buffers"] - with_it["compute buffers"] >= 16 * GIB


def unknown(**fields: Any) -> Facts:
    return GPT_OSS_120B.model_copy(update={"architecture": "brand-new", **fields})


def test_of_an_unknown_architecture_every_layer_is_counted_as_full() -> None:
    """As llama.cpp may know it by its name as one without a window."""
    facts = unknown()

    assert cache(facts) == 36 * 8192 * 8 * 64 * 2 * 2
    (note,) = notes(Served("m", use(), FILES, facts))
    assert "brand-new is unknown here" in note
    assert "upper estimate" in note


def test_what_a_header_says_of_each_layer_holds_for_an_unknown_architecture_too() -> None:
    windows = unknown(sliding_window_pattern=[True, True, True, False] * 9)
    compressed = unknown(key_length_mla=64, value_length_mla=64)
    shared = unknown(shared_kv_layers=30)

    assert cache(windows) == (9 * 8192 + 27 * 768) * 8 * 64 * 2 * 2
    assert cache(compressed) == 36 * 8192 * 8 * 64 * 2
    assert cache(shared) == 6 * 8192 * 8 * 64 * 2 * 2


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("block_count", "has no block_count"),
        ("head_count", "has no head_count"),
        ("key_length", ""),
        ("context_length", ""),
    ],
)
def test_a_header_that_says_too_little_is_refused(field: str, words: str) -> None:
    facts = GPT_OSS_120B.model_copy(update={field: None})
    if not words:
        assert cache(facts)
        return
    with pytest.raises(ValueError, match=words):
        cache(facts)


def test_head_sizes_follow_from_the_width_where_they_are_not_said() -> None:
    facts = GPT_OSS_120B.model_copy(update={"key_length": None, "value_length": None})

    assert cache(facts) == cache() * (2880 // 64) // 64


def test_layers_without_heads_have_no_cache() -> None:
    facts = Facts(
        architecture="lfm2",
        block_count=4,
        context_length=8192,
        embedding_length=1024,
        head_count=16,
        head_count_kv=[0, 0, 8, 0],
    )

    assert cache(facts) == 8192 * 8 * 64 * 2 * 2


def test_compressed_keys_hold_their_values() -> None:
    """DeepSeek V3: one head of 512 + 64 values, and no cache of values (MLA)."""
    facts = Facts(
        architecture="deepseek2",
        block_count=61,
        context_length=163840,
        embedding_length=7168,
        head_count=128,
        head_count_kv=1,
        key_length=576,
        value_length=512,
        key_length_mla=192,
        value_length_mla=128,
        kv_lora_rank=512,
    )

    assert cache(facts) == 61 * 8192 * 576 * 2


def test_hybrids_have_a_cache_in_some_layers_and_a_state_in_the_others() -> None:
    facts = Facts(
        architecture="qwen3next",
        block_count=48,
        context_length=262144,
        embedding_length=2048,
        head_count=16,
        head_count_kv=2,
        key_length=256,
        value_length=256,
        full_attention_interval=4,
        ssm_conv_kernel=4,
        ssm_inner_size=4096,
        ssm_state_size=128,
        ssm_group_count=16,
    )
    found = sizes(facts, parallel=2, ctx_size=4096)

    assert found["KV cache, 12 full layers"] == 12 * 8192 * 2 * 256 * 2 * 2
    assert found["recurrent state"] == 2 * 36 * 4 * (3 * (4096 + 2 * 16 * 128) + 128 * 4096)


def test_gemma_3_slides_in_five_layers_of_six() -> None:
    facts = Facts(
        architecture="gemma3",
        block_count=62,
        context_length=131072,
        embedding_length=5376,
        head_count=32,
        head_count_kv=16,
        key_length=128,
        value_length=128,
        sliding_window=1024,
    )

    assert [(k.count, k.sliding) for k in kv_cache(use(), facts)] == [(10, False), (52, True)]
