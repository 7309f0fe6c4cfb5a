"""The cheapest ways to make models fit into a Mac's memory."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from herd.core.models import wired_memory
from herd.core.models.memory_sum import Limits, Sum
from herd.core.models.memory_use import Use
from herd.core.settings.schema import QUANTISED
from herd.core.text.units import GIB, MIB, gib

# Memory that Macs with Apple Silicon are sold with, in GiB.
_MACS = (8, 16, 18, 24, 32, 36, 48, 64, 96, 128, 192, 256, 512)
_LEAST_CONTEXT = 4096  # of a request; llama-server's --fit goes no lower (--fit-ctx)


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
