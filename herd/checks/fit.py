"""Whether the models fit into each Mac, as far as facts.lock tells what it has."""

from collections.abc import Iterator

from herd.checks.project import ERROR, NOTE, Finding, Project
from herd.checks.sources import Place
from herd.core.mac import wired_limit
from herd.core.models import memory_fit
from herd.core.text.units import GIB, gib

RULES = {"fit": "Models that may be loaded together fit into the Mac's memory"}


def check(project: Project) -> Iterator[Finding]:
    """Every set of models of every host; a deploy asks the Mac itself again."""
    for subject in project.hosts:
        host = subject.host
        reserve = host.settings.preflight_memory_reserve_gb * GIB
        limits = host.known.limits(reserve, wired_limit.bytes_of(host.settings))
        policy = host.settings.preflight_fit
        if limits is None or policy == "off":
            continue
        found = [
            (p.where.removeprefix("memory for "), p.what, p.fix, p.kind)
            for p in memory_fit.problems(host.together, limits)
        ]
        summed = {served.name for models in host.together for served in models}
        for model in host.models:
            weights = sum(model.in_memory.values())
            if model.name not in summed and weights + limits.reserve > limits.memory:
                what = f"{gib(weights)} of weights and the reserve are more than its memory."
                fix = "choose a smaller quantisation, or another model."
                found.append((model.name, what, fix, memory_fit.FIT))
        for name, what, fix, kind in found:
            first = next((m for m in host.settings.models if name.startswith(m)), "")
            place = subject.setting(f"models.{first}") or Place(project.inventory)
            message = f"{host.name}, {gib(limits.memory)}: {name}: {what}"
            soft = policy == "warn" or kind == memory_fit.ESTIMATE
            level = NOTE if soft else ERROR
            yield Finding("fit", place, message, fix, host=host.name, level=level)
