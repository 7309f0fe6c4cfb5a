"""What a llama-server takes of a Mac's memory, term by term, before it is started."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from herd.core.models import caches
from herd.core.models.kv_cache import cells, held, kv_cache
from herd.core.models.llama_fit_params import Measured
from herd.core.models.memory_use import CACHE_RAM, Use, draft_use
from herd.core.models.model_facts import Facts
from herd.core.text.units import GIB, MIB, gib


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

    @property
    def unloaded(self) -> int:
        """Bytes of its files that are not among the weights: what predicts is loaded to draft."""
        return self.size - sum(device.model for device in self.measured.devices)


@dataclass(frozen=True)
class Served:
    """A model as one host serves it: its files with their sizes, and what its header says.

    `draft` is what the header of a second model says, or of a head, which drafts for it; `buffers`
    are bytes that a projector works in. `told` is what that Mac's llama.cpp says of either model,
    `silent` why it could not.
    """

    name: str
    use: Use
    files: Mapping[str, int]
    facts: Facts
    draft: Facts | None = None
    buffers: int = 0
    told: tuple[Told, ...] = ()
    silent: str = ""

    @property
    def weights(self) -> int:
        """Bytes of all files, of which the headers are a few MB at most."""
        return sum(self.files.values())

    @property
    def drafting(self) -> Facts | None:
        """What drafts: a model or a head beside it, or layers of its own."""
        return self.draft or (caches.predicting(self.facts) if self.use.predicts else None)

    @cached_property
    def terms(self) -> list["Term"]:
        """What it takes. Raises ValueError when its header says too little."""
        return terms(self)


def terms(served: Served) -> list[Term]:
    """Everything that one model takes, by llama.cpp's own word where it was asked. Raises
    ValueError when its header says too little."""
    use, facts = served.use, served.facts
    found = list(_told(served) if served.told else _counted(served))
    if served.buffers:
        found.append(Term("compute buffers of the projector", served.buffers, "allowance"))
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
    if served.drafting:
        yield from _drafting(draft_use(use), served.drafting)


def _drafting(use: Use, facts: Facts) -> Iterator[Term]:
    """Beside its weights, which are files, or the model's own."""
    yield Term("KV cache of the draft", held(use, facts), "for as many tokens")
    what = f"allowance at ubatch {use.ubatch}"
    yield Term("compute buffers of the draft", _compute(use, facts), what)


def _told(served: Served) -> Iterator[Term]:
    """By llama.cpp's word. Of another use than it was asked about, it is scaled as our own sum
    would be."""
    for told in served.told:
        use = draft_use(served.use) if told.drafts else served.use
        grown = _ratio(held(use, told.facts), held(told.use, told.facts))
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
    if served.drafting and not any(told.drafts for told in served.told):
        if not served.draft and (left := served.told[0].unloaded) > 0:
            yield Term("weights of the draft", left, "what is asked loads none of them")
        yield from _drafting(draft_use(served.use), served.drafting)


TOLD = "llama-fit-params on this Mac"
"""Where the figures are from that are llama.cpp's own."""


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
        caches_, compute = held(told.use, told.facts), _compute(told.use, told.facts)
        figures = {
            f"KV cache and states{of}": (told.measured.context, caches_),
            f"all{of}": (told.measured.total, told.size + caches_ + compute),
        }
        for name, (theirs, ours) in figures.items():
            # They are told in whole MiB.
            if abs(ours - theirs) > max(theirs // 10, len(told.measured.devices) * 3 * MIB):
                yield f"{name}: {gib(theirs)} by llama-fit-params, {gib(ours)} by our own sum"


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
