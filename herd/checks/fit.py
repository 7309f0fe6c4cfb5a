"""Whether the models fit into each Mac, as far as facts.lock tells what it has."""

from collections.abc import Iterator

from herd.checks.project import Finding, Project
from herd.checks.sources import Place
from herd.core.models import memory_fit
from herd.core.text.units import GIB, gib

RULES = {"fit": "Models that may be loaded together fit into the Mac's memory"}


def check(project: Project) -> Iterator[Finding]:
    """Every set of models of every host; a deploy asks the Mac itself again."""
    for subject in project.hosts:
        host = subject.host
        limits = host.known.limits(host.settings.preflight_memory_reserve_gb * GIB)
        if limits is None:
            continue
        found = [
            (problem.where.removeprefix("memory for "), problem.what, problem.fix)
            for problem in memory_fit.problems(host.together, limits)
        ]
        summed = {served.name for models in host.together for served in models}
        for model in host.models:
            weights = sum(model.in_memory.values())
            if model.name not in summed and weights + limits.reserve > limits.memory:
                what = f"{gib(weights)} of weights and the reserve are more than its memory."
                found.append((model.name, what, "choose a smaller quantisation, or another model."))
        for name, what, fix in found:
            first = next((m for m in host.settings.models if name.startswith(m)), "")
            place = subject.setting(f"models.{first}") or Place(project.inventory)
            message = f"{host.name}, {gib(limits.memory)}: {name}: {what}"
            yield Finding("fit", place, message, fix, host=host.name)
