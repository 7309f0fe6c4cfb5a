"""Whether models fit into a Mac's memory together; if not, the cheapest ways to make them fit.

There are two limits: what the GPU may wire, for weights, KV cache and compute buffers; and all of
the memory, where the prompt cache is, too, beside macOS and whatever else runs.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

from herd.core.models import caches, memory_estimate, wired_memory
from herd.core.models.memory_estimate import Served, Term
from herd.core.models.memory_use import Use
from herd.core.models.model_facts import Facts
from herd.core.settings import model_groups
from herd.core.settings.problems import Problem
from herd.core.settings.schema import QUANTISED, Settings
from herd.core.text.units import GIB, MIB, gib

# llama-server's --fit leaves as much of a device (--fit-target).
MARGIN = 1024 * MIB

# What Metal lets a GPU wire since macOS 26, in thousandths, by memory in GiB: measured for these
# sizes, so one in between is given the share of the next smaller one (AlexsJones/llmfit #754,
# llama.cpp #1870, antirez/ds4 #893).
_SINCE_26 = {16: 740, 36: 780, 64: 810, 128: 840}
# Memory that Macs with Apple Silicon are sold with, in GiB.
_MACS = (8, 16, 18, 24, 32, 36, 48, 64, 96, 128, 192, 256, 512)
_LEAST_CONTEXT = 4096  # of a request; llama-server's --fit goes no lower (--fit-ctx)


@dataclass(frozen=True)
class Limits:
    """What a Mac has, in bytes; `source` says how what its GPU may wire is known."""

    gpu: int
    source: str
    memory: int
    reserve: int

    @classmethod
    def of(
        cls,
        size: int,
        macos: Sequence[int],
        *,
        wired_limit: int | None = None,
        gpu_memory: int | None = None,
        declared: int | None = None,
        reserve: int,
    ) -> "Limits":
        """Of a Mac with `size` bytes: as a deploy sets it (`declared`), by what it said itself,
        else by measurements of others."""
        if declared:
            return cls(declared, "mac_gpu_wired_limit_mb", size, reserve)
        if wired_limit:
            return cls(wired_limit, "iogpu.wired_limit_mb", size, reserve)
        if gpu_memory:
            return cls(gpu_memory, "llama-server --list-devices", size, reserve)
        major = macos[0] if macos else 0
        if major >= 26:
            share = next((s for g, s in reversed(_SINCE_26.items()) if size >= g * GIB), 667)
            part = size * share // 1000
            return cls(
                part, f"{share / 10:g} % of {gib(size)}, as measured of macOS 26", size, reserve
            )
        small = size <= 36 * GIB
        part = size * 2 // 3 if small else size * 3 // 4
        rule = f"{'2/3' if small else '3/4'} of {gib(size)}, the rule up to macOS 15"
        return cls(part, rule, size, reserve)


@dataclass(frozen=True)
class Sum:
    """The memory of models that are loaded together, on one Mac."""

    models: tuple[Served, ...]
    limits: Limits

    @cached_property
    def terms(self) -> list[tuple[str, Term]]:
        """Every term with its model. Raises ValueError when a header says too little."""
        return [(served.name, term) for served in self.models for term in served.terms]

    @property
    def gpu(self) -> int:
        """Bytes that the GPU wires, with a margin."""
        return MARGIN + sum(term.size for _, term in self.terms if term.gpu)

    @property
    def total(self) -> int:
        """Bytes of the Mac's memory, with what is left to macOS."""
        return self.limits.reserve + sum(term.size for _, term in self.terms)

    @property
    def fits(self) -> bool:
        """Whether both limits hold."""
        return self.gpu <= self.limits.gpu and self.total <= self.limits.memory

    @property
    def is_sure(self) -> bool:
        """Whether the sum is llama.cpp's own, of all models, and not an upper estimate."""
        return all(
            served.told or (caches.is_known(served.facts.architecture) and served.facts.complete)
            for served in self.models
        )

    @property
    def weights_fit(self) -> bool:
        """Whether weights alone leave the margin and the reserve."""
        weights = sum(served.weights for served in self.models)
        limits = self.limits
        return weights + MARGIN <= limits.gpu and weights + limits.reserve <= limits.memory

    @property
    def name(self) -> str:
        """The models' names."""
        names = [served.name for served in self.models]
        return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} together"

    def lines(self) -> list[str]:
        """A table: the terms of either limit, what they come to, and what there is."""
        several = len(self.models) > 1
        rows: list[tuple[str, str, str]] = []

        def add(on_gpu: bool) -> None:
            for name, term in self.terms:
                if term.gpu is on_gpu:
                    rows.append(
                        (
                            f"{name}: {term.name}" if several else term.name,
                            gib(term.size),
                            term.source,
                        )
                    )

        limits = self.limits
        add(True)
        rows.append(("margin", gib(MARGIN), "as llama-server's --fit leaves"))
        rows.append(("= GPU", gib(self.gpu), f"of {gib(limits.gpu)}: {limits.source}"))
        add(False)
        rows.append(("macOS and others", gib(limits.reserve), "preflight_memory_reserve_gb"))
        rows.append(("= memory", gib(self.total), f"of {gib(limits.memory)}; no margin counts"))
        first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
        found = [f"{a:<{first}}  {b:>{second}}  {c}" for a, b, c in rows]
        for served in self.models:
            found += [f"note: {served.name}: {note}" for note in memory_estimate.notes(served)]
        return found

    @property
    def verdict(self) -> str:
        """One sentence."""
        if self.fits:
            free = min(self.limits.gpu - self.gpu, self.limits.memory - self.total)
            return f"fits, {gib(free)} to spare"
        over = []
        if self.gpu > self.limits.gpu:
            over.append(f"{gib(self.gpu - self.limits.gpu)} more than its GPU may wire")
        if self.total > self.limits.memory:
            over.append(f"{gib(self.total - self.limits.memory)} more than its memory")
        return f"does not fit: it takes {' and '.join(over)}"


def together(
    settings: Settings, locked: Mapping[str, tuple[Mapping[str, int], Facts, Facts | None, int]]
) -> list[tuple[Served, ...]]:
    """Each set of models that llama-swap may keep loaded at a time, none within another.

    `locked` has of each model the bytes by file, what its header says, that of one which drafts
    for it, and what its projector works in; models that are not in it are left out.
    """
    known = {
        name: Served(name, Use.of(model), *locked[name])
        for name, model in settings.models.items()
        if name in locked
    }
    return [tuple(known[name] for name in names) for names in model_groups.sets(settings, known)]


FIT, ESTIMATE = "fit", "fit-estimate"
"""Kinds of problems: a sum that llama.cpp would agree with, or one that may be too much."""


def problems(sets: Iterable[Sequence[Served]], limits: Limits) -> list[Problem]:
    """Every set that does not fit, with its sum and what would help.

    Of the kind ESTIMATE where a header says too little to be sure, and weights alone would fit.
    """
    found = []
    for models in sets:
        candidate = Sum(tuple(models), limits)
        where = f"memory for {candidate.name}"
        try:
            if candidate.fits:
                continue
        except ValueError as error:
            fix = "use a complete GGUF file of a model that llama.cpp can serve."
            what = str(error)
            found.append(Problem(where, f"{what[:1].upper()}{what[1:]}.", fix, _kind(candidate)))
            continue
        table = "\n".join(f"  {line}" for line in candidate.lines())
        ways = "\n".join(f"  - {way}." for way in fixes(candidate))
        what = f"It {candidate.verdict}.\n{table}"
        found.append(Problem(where, what, f"one of these:\n{ways}", _kind(candidate)))
    return found


def _kind(candidate: Sum) -> str:
    return FIT if candidate.is_sure or not candidate.weights_fit else ESTIMATE


@dataclass(frozen=True)
class _Way:
    """A change that may help; `cost` is how much of what was wanted is lost, from 0 to 1."""

    text: str
    cost: float
    result: Sum


def fixes(candidate: Sum, most: int = 3) -> list[str]:
    """The cheapest changes of which each alone makes it fit, the cheapest first."""
    levers = [list(lever) for lever in _levers(candidate)]
    ways = [way for lever in levers if (way := _first(lever))]
    if len(ways) < most:
        ways += _pairs(candidate, levers)
    if apart := _apart(candidate):
        ways.append(apart)
    found = [way.text for way in sorted(ways, key=lambda way: way.cost)]
    return [*found[:most], *_otherwise(candidate)][: max(most, 1)]


def _first(options: Sequence[_Way]) -> _Way | None:
    """The least change that helps: each option takes less memory than the one before."""
    number = bisect_left(options, True, key=lambda way: way.result.fits)
    return options[number] if number < len(options) else None


def _pairs(candidate: Sum, levers: Sequence[Sequence[_Way]]) -> list[_Way]:
    """Of each two levers that do not help alone, the cheapest pair of their options."""
    alone = [number for number, lever in enumerate(levers) if not _first(lever)]
    found = []
    for one, other in combinations(alone, 2):
        options = levers[one]
        if not options or not _second(options[-1].result, other):
            continue
        few = max(1, len(options) // 8)
        pairs = [
            _Way(f"{way.text}, and {second.text}", way.cost + second.cost, second.result)
            for way in (*options[few - 1 :: few], options[-1])
            if (second := _second(way.result, other))
        ]
        found += sorted(pairs, key=lambda way: way.cost)[:1]
    return found


def _second(candidate: Sum, number: int) -> _Way | None:
    """The least option of that lever that is enough, of what another lever left."""
    return _first([*list(_levers(candidate))[number]])


def _levers(candidate: Sum) -> Iterator[Iterator[_Way]]:
    """What can be changed; each gives its options from the least to the most."""
    yield _more_wired(candidate)
    for number in range(len(candidate.models)):
        for lever in (_less_prompt_cache, _smaller_types, _fewer_slots, _smaller_context):
            yield lever(candidate, number)


def _changed(candidate: Sum, number: int, use: Use) -> Sum:
    models = list(candidate.models)
    models[number] = replace(models[number], use=use)
    return replace(candidate, models=tuple(models))


def _more_wired(candidate: Sum) -> Iterator[_Way]:
    """Up to what macOS needs for itself."""
    limits = candidate.limits
    step = 512 * MIB
    wanted = -(-candidate.gpu // step) * step
    spare = min(limits.memory - limits.reserve, wired_memory.most(limits.memory) * MIB)
    most = spare // step * step
    for size in dict.fromkeys((min(wanted, most), most)):
        if size > limits.gpu:
            text = f"let the GPU wire {gib(size)}: mac_gpu_wired_limit_mb = {size // MIB}"
            raised = replace(limits, gpu=size, source="mac_gpu_wired_limit_mb")
            yield _Way(text, 0.1, replace(candidate, limits=raised))


def _less_prompt_cache(candidate: Sum, number: int) -> Iterator[_Way]:
    served = candidate.models[number]
    size = served.use.cache_ram
    step = 512 * MIB
    for less in range((size - 1) // step * step, -1, -step):
        text = f'{served.name}: extra_args with "--cache-ram", "{less // MIB}"'
        changed = _changed(candidate, number, replace(served.use, cache_ram=less))
        yield _Way(text, 0.15 * (1 - less / size), changed)


def _smaller_types(candidate: Sum, number: int) -> Iterator[_Way]:
    served = candidate.models[number]
    use = served.use
    if not use.flash_attention or {use.cache_type_k, use.cache_type_v} <= QUANTISED:
        return
    changed = replace(use, cache_type_k="q8_0", cache_type_v="q8_0")
    text = f'{served.name}: cache_type_k and cache_type_v = "q8_0"'
    yield _Way(text, 0.2, _changed(candidate, number, changed))


def _fewer_slots(candidate: Sum, number: int) -> Iterator[_Way]:
    served = candidate.models[number]
    use = served.use
    for slots in range(use.parallel - 1, 0, -1):
        share = slots / use.parallel
        changed = replace(use, parallel=slots, ctx_size=use.ctx_size // use.parallel * slots)
        text = f"{served.name}: parallel = {slots} instead of {use.parallel}"
        yield _Way(text, 1 - share, _changed(candidate, number, changed))


def _smaller_context(candidate: Sum, number: int) -> Iterator[_Way]:
    served = candidate.models[number]
    use = served.use
    # Without one, all slots share what the model was trained for.
    total = use.ctx_size or served.facts.context_length or 0
    each = total // use.parallel if use.ctx_size else total
    slots = use.parallel if use.ctx_size else 1
    step = max(1024, each // 64 // 1024 * 1024)
    for less in range((each - 1) // step * step, _LEAST_CONTEXT - 1, -step):
        changed = replace(use, ctx_size=less * use.parallel)
        if less * use.parallel < each * slots:
            text = f"{served.name}: ctx_size = {less} instead of {each if use.ctx_size else '0'}"
            share = less * use.parallel / total
            yield _Way(text, 1 - share, _changed(candidate, number, changed))


def _apart(candidate: Sum) -> _Way | None:
    """Each alone, when that fits."""
    if len(candidate.models) == 1:
        return None
    alone = [replace(candidate, models=(served,)) for served in candidate.models]
    if not all(each.fits for each in alone):
        return None
    names = ", ".join(served.name for served in candidate.models)
    text = (
        f"one of {names} at a time: one group of llama_swap_groups with swap = True; or, with "
        "llama_swap_matrix, no set that has them together"
    )
    return _Way(text, 0.5, alone[0])


def _otherwise(candidate: Sum) -> Iterator[str]:
    """What always helps: smaller weights, or a larger Mac."""
    largest = max(candidate.models, key=lambda served: served.weights)
    over = max(candidate.gpu - candidate.limits.gpu, candidate.total - candidate.limits.memory)
    if largest.weights > over:
        yield (
            f"{largest.name}: a quantisation of at most {gib(largest.weights - over)} instead of "
            f"{gib(largest.weights)}"
        )
    for size in _MACS:
        limits = Limits.of(size * GIB, (26,), reserve=candidate.limits.reserve)
        if size * GIB > candidate.limits.memory and replace(candidate, limits=limits).fits:
            yield f"a Mac with {size} GB"
            return
