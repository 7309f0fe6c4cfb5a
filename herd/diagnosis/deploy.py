"""What a deploy sees: its own complaints of a Mac, and what it would change there."""

import re
from collections.abc import Iterator

from herd.diagnosis.finding import Finding, Patient

_TOLD_ELSEWHERE = ("console", "port ")
"""Of preflight's problems, what other findings tell with more evidence."""


def problems(patient: Patient) -> Iterator[Finding]:
    """What it would refuse the Mac for, or warn of."""
    for problem in patient.problems:
        if problem.where.startswith(_TOLD_ELSEWHERE):
            continue
        name = re.sub(r"[^a-z0-9]+", "-", problem.where.lower()).strip("-")
        yield Finding(name, f"{problem.where}: {problem.what}", problem.fix)


def drift(patient: Patient) -> Iterator[Finding]:
    """What is not as declared."""
    if patient.changes:
        said = "; ".join(change.replace(" | ", ": ") for change in patient.changes)
        yield Finding(
            "drift",
            f"a deploy would change {said}",
            "`make plan ARGS=--diff` shows it, `make deploy` does it",
        )


def edited(patient: Patient) -> Iterator[Finding]:
    """Code that a deploy takes for right by the name of its directory."""
    if names := patient.edited:
        yield Finding(
            "proxy-code",
            f"{', '.join(names)} of the proxy {'is' if len(names) == 1 else 'are'} not as this "
            "toolkit has it",
            f"remove {patient.layout.proxy}/release-* on the Mac, and deploy again",
        )


def running(patient: Patient) -> Iterator[Finding]:
    """Models by an older definition, which a deploy need not see: its files are right."""
    for what in patient.running:
        yield Finding("runs-otherwise", what, "`make restart` ends it, and what runs then is new")


RULES = (problems, drift, edited, running)
