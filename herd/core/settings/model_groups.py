"""Which models llama-swap keeps in memory together (its configuration's `groups` or `matrix`)."""

from collections.abc import Iterable
from itertools import combinations

from herd.core.settings.schema import Group, Settings


def together(settings: Settings, one: str, other: str) -> bool:
    """Whether loading either of two models leaves the other loaded.

    Models of no group are in a common one that swaps and is exclusive (llama-swap's "(default)").
    """
    if settings.llama_swap_matrix:
        return any({one, other} <= way for way in settings.llama_swap_matrix.ways())
    a, b = _group(settings, one), _group(settings, other)
    if a is b:
        return not a.swap
    return (not a.exclusive or b.persistent) and (not b.exclusive or a.persistent)


def preload_conflicts(settings: Settings) -> list[tuple[str, str]]:
    """Pairs of models to preload of which loading one unloads the other."""
    if settings.llama_swap_matrix:
        ways, fit = settings.llama_swap_matrix.ways(), list[str]()
        for name in settings.preload:
            if fit and not any({*fit, name} <= way for way in ways):
                return [(fit[-1], name)]
            fit.append(name)
        return []
    return [pair for pair in combinations(settings.preload, 2) if not together(settings, *pair)]


def _group(settings: Settings, model: str) -> Group:
    for group in settings.llama_swap_groups.values():
        if model in group.members:
            return group
    return _DEFAULT


_DEFAULT = Group(members=["(every other model)"])


def sets(settings: Settings, models: Iterable[str]) -> list[tuple[str, ...]]:
    """The largest sets of these models of which llama-swap may keep all loaded at a time."""
    names = list(models)
    if settings.llama_swap_matrix:
        ways = [way & {*names} for way in settings.llama_swap_matrix.ways()]
        alone = [frozenset({name}) for name in names if not any(name in way for way in ways)]
        chosen = {way for way in ways if way and not any(way < other for other in ways)} | {*alone}
        ordered = (tuple(sorted(way, key=names.index)) for way in chosen)
        return sorted(ordered, key=lambda way: [names.index(name) for name in way])
    beside = {
        one: {other for other in names if other != one and together(settings, one, other)}
        for one in names
    }
    found: list[tuple[str, ...]] = []

    def extend(chosen: list[str], open_: set[str], done: set[str]) -> None:
        # Bron and Kerbosch's search for maximal cliques: whatever is beside a pivot need not
        # start a set of its own.
        if not open_ and not done:
            found.append(tuple(sorted(chosen, key=names.index)))
            return
        pivot = max(open_ | done, key=lambda name: len(beside[name] & open_))
        for name in sorted(open_ - beside[pivot], key=names.index):
            extend([*chosen, name], open_ & beside[name], done & beside[name])
            open_ = open_ - {name}
            done = done | {name}

    if names:
        extend([], set(names), set())
    return sorted(found, key=lambda chosen: [names.index(name) for name in chosen])
