"""A problem is found in some place, and says how to mend it; a report shows all of them at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import indent


@dataclass(frozen=True)
class Problem:
    """One thing that a person has to mend.

    `where` names the place ("mac1: proxy_port, from group_data/all.py"), `what` the problem,
    `fix` what to do about it, as a sentence or a command; `kind` is the rule that it breaks.
    """

    where: str
    what: str
    fix: str
    kind: str = "settings"


class SettingsError(Exception):
    """Settings that cannot be deployed; the text is the whole report."""


class Unreadable(SettingsError):
    """A file of a herd that cannot be read: where, as a person finds it, and how to mend it."""

    def __init__(self, file: str, line: int | None, what: str, fix: str) -> None:
        at = f" (line {line})" if line else ""
        super().__init__(f"{file} cannot be read: {what}{at}. Fix: {fix}")
        self.file, self.line, self.what, self.fix = file, line or 1, what, fix


def report(title: str, problems: Iterable[Problem]) -> str:
    """All problems as text; the same problem in several places is shown once, with each place."""
    places: dict[tuple[str, str], list[str]] = {}
    for problem in problems:
        wheres = places.setdefault((problem.what, problem.fix), [])
        if problem.where not in wheres:
            wheres.append(problem.where)
    lines = [title]
    for (what, fix), wheres in places.items():
        lines += ["", *(f"  {where}" for where in wheres)]
        lines += indent(f"{what}\nFix: {fix}", "    ").splitlines()
    return "\n".join(lines)


def count(problems: Iterable[Problem], noun: str = "problem") -> str:
    """`1 problem`, `3 problems`: as `report` shows them, whatever hosts have each."""
    number = len({(p.what, p.fix) for p in problems})
    return f"{number} {noun}{'' if number == 1 else 's'}"
