"""Templates: they parse, know every variable that they use, and made what they had to."""

import traceback
from collections.abc import Iterator
from pathlib import Path

from jinja2 import TemplateError, TemplateSyntaxError, meta

from herd.checks import sources
from herd.checks.project import Finding, Project
from herd.checks.sources import Place
from herd.core.files import templates

RULES = {
    "template-syntax": "Templates parse",
    "template-variables": "Templates use variables that they are given",
    "template-output": "Templates carry their values in their format",
}


def check(project: Project) -> Iterator[Finding]:
    """Every template by itself, in all its branches; then what failed on a host."""
    for path in sorted((project.toolkit / "templates").glob("*.j2")):
        yield from _template(path)
    for subject in project.hosts:
        for failed in subject.host.failed:
            template = sources.of_template(project.toolkit, failed.path, "")
            place = _frame(failed.error) or template or subject.place(failed.path)
            message = f"{subject.host.name}: {failed.path} cannot be rendered: {failed.error}."
            fix = "mend the template, or herd/core/files/templates.py, which gives it its values."
            undefined = isinstance(failed.error, TemplateError)
            rule = "template-variables" if undefined else "template-output"
            yield Finding(rule, place, message, fix, host=subject.host.name)


def _template(path: Path) -> Iterator[Finding]:
    name, shown = path.name, sources.shown(path)
    text = path.read_text(encoding="utf-8")
    try:
        used = meta.find_undeclared_variables(templates.environment().parse(text))
    except TemplateSyntaxError as error:
        fix = "https://jinja.palletsprojects.com/templates/ has the syntax."
        yield Finding("template-syntax", Place(shown, error.lineno), f"{error.message}.", fix)
        return
    if name not in templates.VARIABLES:
        message = "Nothing renders this template."
        yield Finding("template-variables", Place(shown), message, "remove it, or render it.")
        return
    for variable in sorted(used - templates.VARIABLES[name]):
        line = next((n for n, row in enumerate(text.splitlines(), 1) if variable in row), 1)
        known = ", ".join(sorted(templates.VARIABLES[name]))
        fix = f"use one of {known}, or give it in herd/core/files/templates.py."
        message = f"{variable} is given to nobody: it is undefined."
        yield Finding("template-variables", Place(shown, line), message, fix)


def _frame(error: Exception) -> Place | None:
    """The line of the template in which it failed."""
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        if frame.filename.endswith(".j2"):
            return Place(sources.shown(Path(frame.filename)), frame.lineno or 1)
    return None
