"""How llama-server is started, as far as memory depends on it."""

from dataclasses import dataclass, replace
from typing import Any

from herd.core.settings import part_sources
from herd.core.settings.extra_args import canonical
from herd.core.settings.schema import Model
from herd.core.text.units import MIB

CACHE_RAM = 8192 * MIB  # llama-server --help, --cache-ram


@dataclass(frozen=True)
class Use:
    """How llama-server is started, as far as memory depends on it. Sizes are in bytes.

    `predicts`: whether what predicts further tokens (MTP) drafts, with a cache of its own.
    """

    ctx_size: int
    parallel: int
    cache_type_k: str = "f16"
    cache_type_v: str = "f16"
    flash_attention: bool = True
    batch: int = 2048
    ubatch: int = 512
    unified: bool = False
    swa_full: bool = False
    kv_offload: bool = True
    cache_ram: int = CACHE_RAM
    checkpoints: int = 32
    checkpoint_step: int = 8192
    predicts: bool = False
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: Model) -> "Use":
        """As the settings of a model have it, its `extra_args` included."""
        use = cls(
            ctx_size=model.total_ctx_size,
            parallel=model.parallel,
            cache_type_k=model.cache_type_k,
            cache_type_v=model.cache_type_v,
            # Metal has it for the head sizes of well-known models.
            flash_attention=model.flash_attention != "off",
        )
        words = [canonical(word) for word in model.extra_args]
        for word, value in zip(words, [*words[1:], ""], strict=False):
            if word in _SWITCHES:
                field, on = _SWITCHES[word]
                switched: dict[str, Any] = {field: on}
                use = replace(use, **switched)
            elif word in _COUNTS:
                use = _with_count(use, _COUNTS[word], value)
            elif word in _UNCOUNTED and not value.startswith(part_sources.SCHEME):
                note = f"{word} is not counted: {_UNCOUNTED[word]}"
                use = replace(use, notes=(*use.notes, note))
        said = f"{model.spec_type},{','.join(words)}".split(",")
        return replace(use, predicts="draft-mtp" in said)


# llama-server --help, of the flags that no setting writes.
_SWITCHES: dict[str, tuple[str, bool]] = {
    **dict.fromkeys(("-kvu", "--kv-unified"), ("unified", True)),
    **dict.fromkeys(("-no-kvu", "--no-kv-unified"), ("unified", False)),
    "--swa-full": ("swa_full", True),
    **dict.fromkeys(("-kvo", "--kv-offload"), ("kv_offload", True)),
    **dict.fromkeys(("-nkvo", "--no-kv-offload"), ("kv_offload", False)),
}
_COUNTS = {
    **dict.fromkeys(("-b", "--batch-size"), "batch"),
    **dict.fromkeys(("-ub", "--ubatch-size"), "ubatch"),
    **dict.fromkeys(("-cram", "--cache-ram"), "cache_ram"),
    **dict.fromkeys(("-ctxcp", "--ctx-checkpoints", "--swa-checkpoints"), "checkpoints"),
    **dict.fromkeys(("-cms", "--checkpoint-min-step"), "checkpoint_step"),
}
_UNCOUNTED = {
    **dict.fromkeys(
        ("--spec-draft-model", "-md", "--model-draft", "-mv", "--model-vocoder"),
        "a second model takes as much again",
    ),
    **dict.fromkeys(("-mm", "--mmproj"), "a projector has weights and buffers, too"),
    "--no-mmproj-offload": "the projector is taken to be on the GPU",
    **dict.fromkeys(
        ("--lora", "--lora-scaled", "--control-vector", "--control-vector-scaled"),
        "an adapter has weights, too",
    ),
    **dict.fromkeys(
        ("-ngl", "--gpu-layers", "--n-gpu-layers", "-cmoe", "--cpu-moe", "-ncmoe", "--n-cpu-moe"),
        "all weights are taken to be on the GPU",
    ),
    **dict.fromkeys(
        ("-ncffn", "--n-cpu-ffn", "-ot", "--override-tensor", "-dev", "--device"),
        "all weights are taken to be on the GPU",
    ),
    "--rpc": "all weights are taken to be here",
    **dict.fromkeys(("-fit", "--fit"), "what it shrinks is taken as it is declared"),
}


def _with_count(use: Use, field: str, said: str) -> Use:
    try:
        value = int(said)
    except ValueError:  # llama-server will say so
        return use
    if field == "cache_ram":
        if value < 0:
            note = "--cache-ram has no limit; it is counted as the default"
            return replace(use, notes=(*use.notes, note))
        value *= MIB
    counted: dict[str, Any] = {field: max(value, 0)}
    return replace(use, **counted)


def draft_use(use: Use) -> Use:
    """Of a second model, which drafts: for as many tokens, in f16 whatever the first has."""
    return replace(use, cache_type_k="f16", cache_type_v="f16", swa_full=False)
