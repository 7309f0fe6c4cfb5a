"""What a llama-server takes of a Mac's memory, term by term, before it is started.

The KV cache is computed as llama.cpp lays it out, cell by cell;
tests/core/models/test_memory_estimate_real.py compares it with what the real server reports. Which
layers have which cache is in caches.py.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from herd.core.models import caches
from herd.core.models.gguf import Facts
from herd.core.models.llama_fit_params import Measured
from herd.core.settings import part_sources
from herd.core.settings.extra_args import canonical
from herd.core.settings.schema import Model
from herd.core.text.units import GIB, MIB, gib

# Bytes of a value in the KV cache: blocks of 32 values with their scale (ggml-common.h).
BYTES = {
    **{"f32": 4.0, "f16": 2.0, "bf16": 2.0, "q8_0": 34 / 32, "q5_1": 24 / 32, "q5_0": 22 / 32},
    **{"q4_1": 20 / 32, "q4_0": 18 / 32, "iq4_nl": 18 / 32},
}
CACHE_RAM = 8192 * MIB  # llama-server --help, --cache-ram
FULL, SLIDING, INDEXED, COMPRESSED = "full", "sliding", "indexed", "compressed"
"""Kinds of layers, by what their caches hold."""
CELLS = 256  # caches are padded to it (llama-context.cpp, llama-kv-cache-iswa.cpp)


@dataclass(frozen=True)
class Use:
    """How llama-server is started, as far as memory depends on it. Sizes are in bytes."""

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
        if "draft-mtp" in (model.spec_type or "") or "draft-mtp" in words:
            note = "draft-mtp has a cache of its own, which is not counted"
            use = replace(use, notes=(*use.notes, note))
        return use


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


@dataclass(frozen=True)
class Term:
    """One part of a sum: how much it is, on the GPU or beside it, and where the figure is from."""

    name: str
    size: int
    source: str
    gpu: bool = True


@dataclass(frozen=True)
class Told:
    """What llama.cpp said of a model used so, or of the one that drafts for it; `size` are the
    bytes of the files that it was asked about."""

    measured: Measured
    use: Use
    facts: Facts
    size: int
    drafts: bool = False


@dataclass(frozen=True)
class Served:
    """A model as one host serves it: its files with their sizes, and what its header says.

    `draft` is what the header of a second model says, which drafts for it. `told` is what that
    Mac's llama.cpp says of either, `silent` why it could not.
    """

    name: str
    use: Use
    files: Mapping[str, int]
    facts: Facts
    draft: Facts | None = None
    told: tuple[Told, ...] = ()
    silent: str = ""

    @property
    def weights(self) -> int:
        """Bytes of all files, of which the headers are a few MB at most."""
        return sum(self.files.values())

    @cached_property
    def terms(self) -> list["Term"]:
        """What it takes. Raises ValueError when its header says too little."""
        return terms(self)


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


def terms(served: Served) -> list[Term]:
    """Everything that one model takes, by llama.cpp's own word where it was asked. Raises
    ValueError when its header says too little."""
    use, facts = served.use, served.facts
    found = list(_told(served) if served.told else _counted(served))
    default = ", llama-server's default" if use.cache_ram == CACHE_RAM else ""
    found.append(Term("prompt cache", use.cache_ram, f"--cache-ram{default}", gpu=False))
    if size := _checkpoints(use, facts):
        found.append(Term("context checkpoints", size, "of windows and states", gpu=False))
    return found


def _counted(served: Served) -> Iterator[Term]:
    """By our own arithmetic."""
    use, facts = served.use, served.facts
    files = f"{len(served.files)} file{'' if len(served.files) == 1 else 's'}"
    kind = f", {facts.quantisation}" if facts.quantisation else ""
    yield Term("weights", served.weights, f"{files}{kind}")
    types = use.cache_type_k
    if use.cache_type_v != types:
        types += f" and {use.cache_type_v}"
    for layers in kv_cache(use, facts):
        slots = f"{layers.streams} x " if layers.streams > 1 else ""
        cells = f"{slots}{layers.cells} cells of {layers.cell:,} B ({types})"
        yield Term(f"KV cache, {layers.name}", layers.size, cells, gpu=use.kv_offload)
    if state := caches.states(facts):
        what = f"{use.parallel} x {state:,} B"
        yield Term("recurrent state", use.parallel * state, what, gpu=use.kv_offload)
    yield Term("compute buffers", _compute(use, facts), f"allowance at ubatch {use.ubatch}")
    if served.draft:
        drafts = draft_use(use)
        what = f"{served.draft.architecture}, for as many tokens"
        yield Term("KV cache of the draft", _caches(drafts, served.draft), what)
        what = f"allowance at ubatch {use.ubatch}"
        yield Term("compute buffers of the draft", _compute(drafts, served.draft), what)


def _told(served: Served) -> Iterator[Term]:
    """By llama.cpp's word. Of another use than it was asked about, it is scaled as our own sum
    would be."""
    for told in served.told:
        use = draft_use(served.use) if told.drafts else served.use
        grown = _ratio(_caches(use, told.facts), _caches(told.use, told.facts))
        wider = _ratio(_compute(use, told.facts), _compute(told.use, told.facts))
        of = " of the draft" if told.drafts else ""
        for device in told.measured.devices:
            on_gpu = told.measured.on_gpu(device)
            beside = of if on_gpu else f"{of}, beside the GPU"
            sizes = {
                "weights": device.model,
                "KV cache and states": int(device.context * grown),
                "compute buffers": int(device.compute * wider),
            }
            for name, size in sizes.items():
                if size:
                    yield Term(f"{name}{beside}", size, TOLD, gpu=on_gpu)
    if more := served.weights - sum(told.size for told in served.told):
        yield Term("weights of what goes along", more, "its files")


TOLD = "llama-fit-params on this Mac"
"""Where the figures are from that are llama.cpp's own."""


def draft_use(use: Use) -> Use:
    """Of a second model, which drafts: for as many tokens, in f16 whatever the first has."""
    return replace(use, cache_type_k="f16", cache_type_v="f16", swa_full=False)


def _caches(use: Use, facts: Facts) -> int:
    """Bytes of all caches and states."""
    return sum(layers.size for layers in kv_cache(use, facts)) + use.parallel * caches.states(facts)


def _ratio(now: int, then: int) -> float:
    return now / then if then else 1.0


def notes(served: Served) -> list[str]:
    """What a reader of the sum has to know."""
    facts = served.facts
    found = list(served.use.notes)
    found += differences(served)
    if served.told:
        return found
    if not caches.is_known(facts.architecture):
        found.append(
            f"architecture {facts.architecture} is unknown here: what its header does not say is "
            "counted as the most expensive kind, so this is an upper estimate"
        )
    return found


def differences(served: Served) -> Iterator[str]:
    """Where our own sum is another than llama.cpp's, by more than a tenth; or that it gave none."""
    if served.silent:
        yield f"llama-fit-params cannot tell ({served.silent}): our own sum stands in"
    for told in served.told:
        of = " of the draft" if told.drafts else ""
        caches_, compute = _caches(told.use, told.facts), _compute(told.use, told.facts)
        figures = {
            f"KV cache and states{of}": (told.measured.context, caches_),
            f"all{of}": (told.measured.total, told.size + caches_ + compute),
        }
        for name, (theirs, ours) in figures.items():
            # They are told in whole MiB.
            if abs(ours - theirs) > max(theirs // 10, len(told.measured.devices) * 3 * MIB):
                yield f"{name}: {gib(theirs)} by llama-fit-params, {gib(ours)} by our own sum"


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


def _compute(use: Use, facts: Facts) -> int:
    """More than llama.cpp's graphs were seen to take: 0.3 to 0.5 GiB at ubatch 512 on Metal
    (llama.cpp #17766), 2.7 GiB at large ones for gpt-oss-120b (discussion #15396)."""
    usual = (use.ubatch + 256) * 4 * MIB // 3
    total = cells(use, facts) * (1 if use.unified else use.parallel)
    each = cells(use, facts)
    logits = use.ubatch * (facts.vocab_size or 1 << 18) * 4
    # The mask is in f16 with flash attention; without it, the scores of all heads are there, too.
    mask = use.ubatch * total * (2 if use.flash_attention else 4)
    heads = facts.head_count if facts.head_count is not None else 0
    most = max(heads, default=0) if isinstance(heads, list) else heads
    scores = 0 if use.flash_attention else use.ubatch * each * most * 4
    return max(usual, logits + mask + GIB // 4) + scores


def _checkpoints(use: Use, facts: Facts) -> int:
    """Copies of the windows and of the states, to return to (llama.cpp #15293)."""
    copied = caches.states(facts)
    each = cells(use, facts)
    if not use.swa_full:
        window = caches.window(facts)
        copied += sum(k.cell * min(k.cells, window) for k in kv_cache(use, facts) if k.sliding)
    if not copied or not use.checkpoints:
        return 0
    # One at each step, and one near the prompt's end.
    count = -(-each // use.checkpoint_step) + 1 if use.checkpoint_step else use.checkpoints
    return use.parallel * min(use.checkpoints, count) * copied
