"""Which models llama-swap keeps in memory together (its configuration's `groups`)."""

from itertools import combinations

from herd.core.settings import Group, Settings


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
