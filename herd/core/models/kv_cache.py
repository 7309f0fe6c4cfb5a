"""The KV cache of a model, cell by cell, as llama.cpp lays it out.

Which layers have which cache is in caches.py; tests/core/models/test_memory_estimate_real.py
compares the sums with what the real server reports.
"""

from dataclasses import dataclass

from herd.core.models import caches
from herd.core.models.memory_use import Use
from herd.core.models.model_facts import Facts

# Bytes of a value in the KV cache: blocks of 32 values with their scale (ggml-common.h).
BYTES = {
    **{"f32": 4.0, "f16": 2.0, "bf16": 2.0, "q8_0": 34 / 32, "q5_1": 24 / 32, "q5_0": 22 / 32},
    **{"q4_1": 20 / 32, "q4_0": 18 / 32, "iq4_nl": 18 / 32},
}
FULL, SLIDING, INDEXED, COMPRESSED = "full", "sliding", "indexed", "compressed"
"""Kinds of layers, by what their caches hold."""
CELLS = 256  # caches are padded to it (llama-context.cpp, llama-kv-cache-iswa.cpp)


@dataclass(frozen=True)
class Layers:
    """Layers whose caches have the same number of cells; `cell` is one through all of them."""

    count: int
    kind: str
    cells: int
    cell: int
    streams: int

    @property
    def name(self) -> str:
        """As `18 sliding layers`."""
        return f"{self.count} {self.kind} layer{'' if self.count == 1 else 's'}"

    @property
    def sliding(self) -> bool:
        """Whether they keep a window only."""
        return self.kind == SLIDING

    @property
    def size(self) -> int:
        """Bytes of all."""
        return self.streams * self.cells * self.cell


def cells(use: Use, facts: Facts) -> int:
    """Cells of each slot's cache, or of the one that all share."""
    total = _padded(use.ctx_size or _known(facts, "context_length"))
    return total if use.unified else _padded(total // use.parallel)


def kv_cache(use: Use, facts: Facts) -> list[Layers]:
    """The KV cache: layers with full attention, those with a sliding window, and what sparse
    attention has beside it."""
    full = cells(use, facts)
    # DeepSeek V4 keeps each sequence apart, whatever is said.
    unified = use.unified and facts.architecture != "deepseek4"
    streams = 1 if unified else use.parallel
    ubatch = min(use.ubatch or use.batch, use.batch, full * streams)
    reach = caches.window(facts) * (use.parallel if unified else 1) + ubatch
    slid = full if use.swa_full else _padded(min(full, reach))
    sliding, own = caches.slides(facts), caches.attends(facts)
    widths = [
        _width(facts, layer, slides) if has else (0, 0)
        for layer, (slides, has) in enumerate(zip(sliding, own, strict=True))
    ]
    if not use.flash_attention and len({value for _, value in widths}) > 1:
        # Values are stored transposed then, all as wide as the widest.
        widest = max(value for _, value in widths)
        widths = [(key, widest if key or value else 0) for key, value in widths]
    found = []

    def add(kind: str, number: int, sizes: list[tuple[int, int]]) -> None:
        bytes_ = [_bytes(use, key, value) for key, value in sizes if key or value]
        if bytes_:
            found.append(Layers(len(bytes_), kind, number, sum(bytes_), streams))

    both = list(zip(widths, sliding, strict=True))
    add(FULL, full, [width for width, slides in both if not slides])
    add(SLIDING, slid, [width for width, slides in both if slides])
    add(INDEXED, full, caches.indexes(facts))
    for ratio, layers in caches.compressed(facts).items():
        index = caches.compressed_index(facts, ratio)
        pairs = [(widths[layer][0] + index, 0) for layer in layers]
        add(COMPRESSED, _padded(-(-full // ratio)), pairs)
    return found


def _bytes(use: Use, key: int, value: int) -> int:
    return int(key * BYTES[use.cache_type_k]) + int(value * BYTES[use.cache_type_v])


def _padded(count: int) -> int:
    return -(-count // CELLS) * CELLS


def _known(facts: Facts, field: str) -> int:
    value = getattr(facts, field)
    if not isinstance(value, int):
        raise ValueError(f"its GGUF header has no {field}, so its memory cannot be told")
    return value


def _width(facts: Facts, layer: int, slides: bool) -> tuple[int, int]:
    """How many values a cell of this layer has, for the key and for the value."""
    if facts.head_count is None:
        raise ValueError("its GGUF header has no head_count, so its memory cannot be told")
    groups = caches.groups(facts, layer)
    if not groups:
        return 0, 0
    fallback = 0
    if facts.key_length is None or facts.value_length is None:
        heads = caches.at(facts.head_count, 0)
        fallback = _known(facts, "embedding_length") // max(heads, 1)
    key = fallback if facts.key_length is None else facts.key_length
    value = fallback if facts.value_length is None else facts.value_length
    if slides:
        key = facts.key_length_swa or key
        value = facts.value_length_swa or value
    # llama_hparams::is_mla: the value is a part of the key.
    if (facts.key_length_mla and facts.value_length_mla) or facts.architecture == "deepseek4":
        value = 0
    return groups * key, groups * value


def held(use: Use, facts: Facts) -> int:
    """Bytes of all caches and states."""
    return sum(layers.size for layers in kv_cache(use, facts)) + use.parallel * caches.states(facts)
