"""Problems of a check, and what was found, by host."""

from collections.abc import Iterable, Sequence

import pytest

from herd.core.settings.problems import Problem, count, report
from herd.core.text.harmless import harmless


def refuse(problems: Sequence[Problem]) -> None:
    """Fail a check with all its problems, each with its fix, if there is any."""
    if problems:
        text = report(f"{count(problems)}.", problems)
        # The problem says what of an exception is worth knowing.
        raise pytest.fail.Exception(harmless(text, keep="\n"), pytrace=False) from None


def found_by_host(
    hosts: Iterable[str], reports: Iterable[pytest.TestReport]
) -> dict[str, list[str]]:
    """Lines for each host: what each check said, and those that failed or were skipped."""
    lines: dict[str, list[str]] = {host: [] for host in hosts}
    for each in reports:
        told = dict(each.user_properties)
        if told.get("host") not in lines or (each.when != "call" and each.passed):
            continue
        name = each.nodeid.partition("::")[2].partition("[")[0].removeprefix("test_")
        words = {"failed": "FAILED", "skipped": "skipped"}.get(each.outcome, "ok")
        shown = told.get("found") if each.passed else None
        lines[told["host"]].append(f"  {words:<8}{name.replace('_', ' ')}{_after(shown)}")
    return lines


def _after(found: object) -> str:
    return f": {harmless(str(found))}" if found else ""
