"""Checks of what a deploy would write, for a change that nobody has deployed yet.

Each module has the `RULES` that it claims, and a `check` of a project that yields findings; none
connects anywhere. `project` is what they are given, `reports` what becomes of their findings.
"""

from collections.abc import Sequence
from types import ModuleType

from herd.checks import (
    command_lines,
    config_yaml,
    fit,
    groups,
    plists,
    ports,
    real_haproxy,
    real_llama_swap,
    scripts,
    secrets,
    settings,
    sources,
    templates,
)
from herd.checks.project import ERROR, NOTE, Finding, Project
from herd.core.settings.problems import Unreadable

__all__ = ["CHECKS", "ERROR", "NOTE", "RULES", "Finding", "Project", "run", "unreadable"]

CHECKS: Sequence[ModuleType] = (
    *(settings, groups, templates, config_yaml, command_lines, plists, ports),
    *(fit, secrets, scripts, real_llama_swap, real_haproxy),
)
RULES: dict[str, str] = {rule: text for check in CHECKS for rule, text in check.RULES.items()}


def unreadable(error: Unreadable) -> Finding:
    """What to say of an inventory, or group_data, that cannot be read."""
    message = f"{error.file} cannot be read: {error.what}."
    return Finding("settings", sources.Place(error.file, error.line), message, error.fix)


def run(project: Project) -> list[Finding]:
    """All findings, in the order of the checks."""
    return [finding for check in CHECKS for finding in check.check(project)]
