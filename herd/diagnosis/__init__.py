"""What is wrong with a Mac, or soon will be: pure functions from what was gathered of it to
findings, a concern each. None asks anything; what a deploy compares is not compared here again."""

from collections.abc import Callable, Iterable, Iterator

from herd.diagnosis import access, deploy, macos, memory_and_disk, services, serving
from herd.diagnosis.finding import Finding, Patient

Rule = Callable[[Patient], Iterable[Finding]]

RULES: tuple[Rule, ...] = (
    *serving.RULES,
    *services.RULES,
    *memory_and_disk.RULES,
    *macos.RULES,
    *access.RULES,
    *deploy.RULES,
)


def findings(patient: Patient) -> list[Finding]:
    """All of them, each name once for one evidence."""
    return list(dict.fromkeys(_found(patient)))


def _found(patient: Patient) -> Iterator[Finding]:
    for rule in RULES:
        yield from rule(patient)
