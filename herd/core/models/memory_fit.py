"""Whether models fit into a Mac's memory together; if not, how they would."""

from collections.abc import Iterable, Mapping, Sequence

from herd.core.models.memory_estimate import Served
from herd.core.models.memory_fixes import fixes
from herd.core.models.memory_sum import Limits, Sum
from herd.core.models.memory_use import Use
from herd.core.models.model_facts import Facts
from herd.core.settings import model_groups
from herd.core.settings.problems import Problem
from herd.core.settings.schema import Settings


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
