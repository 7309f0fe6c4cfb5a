"""Which models llama-swap keeps in memory together (its configuration's `groups`)."""

from collections.abc import Iterable
from itertools import combinations

from herd.core.settings.schema import Group, Settings


def together(settings: Settings, one: str, other: str) -> bool:
    """Whether loading either of two models leaves the other loaded.

    Models of no group are in a common one that swaps and is exclusive (llama-swap's "(default)").
    """
    a, b = _group(settings, one), _group(settings, other)
    if a is b:
        return not a.swap
    return (not a.exclusive or b.persistent) and (not b.exclusive or a.persistent)


def preload_conflicts(settings: Settings) -> list[tuple[str, str]]:
    """Pairs of models to preload of which loading one unloads the other."""
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
