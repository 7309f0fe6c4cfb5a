"""Settings, models.lock and facts.lock, by the rules of a deploy."""

import re
import time
from collections.abc import Iterator

from herd.checks import sources
from herd.checks.project import ERROR, NOTE, Finding, Project, Subject, line_of
from herd.checks.sources import Place
from herd.core.mac import facts_lock
from herd.core.models import models_lock
from herd.core.models.splits import first_file
from herd.workstation import api_keys, lock_models, noted_facts
from herd.workstation.typed_commands import command

RULES = {
    "settings": "Settings validate, and go together",
    "ports": "No port is wanted twice on one machine",
    "api-keys": "API keys are strong, named once, whole and not expired",
    "models-lock": "Every model is in models.lock, with all of its files",
    "facts": "facts.lock tells of each Mac as it is declared",
}


def check(project: Project) -> Iterator[Finding]:
    """Everything that ends a deploy before its first connection, and a look into the locks."""
    for problem in project.rendering.problems:
        source = sources.of_problem(project.root, project.inventory, problem.where, problem.what)
        place = _file(project, problem.where, problem.what) or source or Place(project.inventory)
        host = problem.where.partition(":")[0]
        yield Finding(problem.kind, place, f"{host}: {problem.what}", problem.fix, host=host)
    for subject in project.hosts:
        yield from _keys(subject)
        yield from _asked(subject)
    yield from _splits(project)


def _file(project: Project, where: str, what: str) -> Place | None:
    """The lock or the facts file, when the problem is with the file itself."""
    if where not in (
        str(lock_models.beside(project.inventory)),
        str(noted_facts.beside(project.inventory)),
    ):
        return None
    line = re.search(r"line (\d+)", what)
    return Place(where, int(line[1]) if line else 1)


def _keys(subject: Subject) -> Iterator[Finding]:
    """Those of its `api_keys`, or of config.json where that is here."""
    settings, config = subject.host.settings, api_keys.beside(subject.project.inventory)
    if not settings.api_keys and not config.exists():
        return

    def finding(place: Place, message: str, fix: str) -> Finding:
        host = subject.host.name
        return Finding("api-keys", place, f"{host}: {message}", fix, host=host)

    try:
        entries = api_keys.shipped(settings, config).keys.entries
    except ValueError as error:
        if not settings.api_keys:  # else it is among the problems of the settings
            yield finding(Place(str(config)), f"{error}.", api_keys.how_to_mend(config))
        return
    for number, key in enumerate(entries, start=1):
        if key.expired(time.time()):
            if settings.api_keys:
                place = subject.setting(f"api_keys.{number}") or Place(subject.project.inventory)
            else:
                text = config.read_text(encoding="utf-8-sig")
                place = Place(str(config), line_of(text, f'"{key.name}"'))
            fix = f"remove its entry, or make another with `{command('key')}`."
            yield finding(place, f"The key of {key.name} has expired.", fix)


def _asked(subject: Subject) -> Iterator[Finding]:
    host, file = subject.host, str(noted_facts.beside(subject.project.inventory))
    prefix = host.settings.homebrew_prefix
    mend = f"run `{command('facts')}`, and commit facts.lock."

    def finding(message: str, level: str) -> Finding:
        return Finding(
            "facts", Place(file), f"{host.name}: {message}", mend, None, host.name, level
        )

    if host.known.source != facts_lock.ASKED:
        yield finding("Nobody asked this Mac yet: home and flags are defaults.", NOTE)
    elif host.known.homebrew_prefix not in (None, prefix):
        was = host.known.homebrew_prefix
        yield finding(f"It was asked with Homebrew in {was}, which now is {prefix}.", ERROR)
    if not host.settings.serves:
        return
    if host.known.flags is None:
        yield finding("Its llama-server's flags are not known, and are not checked.", NOTE)
    if host.known.memory is None:
        yield finding("Its memory is not known: whether models fit is not checked.", NOTE)


def _splits(project: Project) -> Iterator[Finding]:
    """A lock that was edited, or merged, may lack a file of a model."""
    path = lock_models.beside(project.inventory)
    try:
        held = lock_models.read(path)
    except ValueError:
        return  # it is among the problems of the settings
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for model in held.models:
        try:
            right = first_file(file.path for file in model.files)
            wrong = "" if right == model.first else f"is served by {model.first!r}, not {right!r}"
        except ValueError as error:
            wrong = str(error)
        if wrong:
            line = next((n for n, text in enumerate(lines, 1) if f'"{model.name}"' in text), 1)
            command = lock_models.command(project.inventory, model.name)
            fix = f"run `{command}`, and commit {models_lock.FILE}."
            yield Finding("models-lock", Place(str(path), line), f"{model.name} {wrong}.", fix)
