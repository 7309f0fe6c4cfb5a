"""The command lines of llama-server: flags that the one there knows, files that are locked."""

import itertools
import shlex
from collections.abc import Iterator, Sequence

from herd.checks import yaml_lines
from herd.checks.project import Finding, Project, Subject, line_of
from herd.core.files.written_files import Written
from herd.core.mac.arguments_by_help import refused, setting_of
from herd.workstation.typed_commands import command

RULES = {
    "llama-server-flags": "Every argument is one that this Mac's llama-server takes",
    "llama-server-line": "llama-server serves a locked file, and only on loopback",
}


def check(project: Project) -> Iterator[Finding]:
    """The `cmd` of every model of every host."""
    for subject in project.hosts:
        file = subject.files.get(subject.host.layout.config)
        for model, line, text in _commands(file):
            try:
                words = shlex.split(text)
            except ValueError as error:
                message, fix = f"{model}: {error} in its cmd.", "mend templates/config.yaml.j2."
                assert file
                yield subject.finding("llama-server-line", file, line, message, fix)
                continue
            assert file
            yield from _flags(subject, file, model, line, words)
            yield from _line(subject, file, model, line, words)


def _commands(file: Written | None) -> Iterator[tuple[str, int, str]]:
    """Each model with its line and its cmd, without the lines that llama-swap drops."""
    try:
        data, lines = yaml_lines.load(file.content.decode()) if file else ({}, {})
    except ValueError:
        return  # config-syntax tells
    models = data.get("models") if isinstance(data, dict) else {}
    for name, model in models.items() if isinstance(models, dict) else ():
        cmd = model.get("cmd") if isinstance(model, dict) else None
        if isinstance(cmd, str):
            kept = [each for each in cmd.splitlines() if not each.lstrip().startswith("#")]
            yield name, lines["models", name, "cmd"], "\n".join(kept)


def _flags(
    subject: Subject, file: Written, model: str, line: int, words: Sequence[str]
) -> Iterator[Finding]:
    flags = subject.host.known.flags
    if flags is None:
        return
    for wrong in refused(flags, words[1:]):
        yield subject.finding(
            "llama-server-flags",
            file,
            line_of(file.text, wrong.word, after=line),
            f"{model}: {wrong.what}",
            f"{wrong.fix} `{command('facts')}` asks the Mac again.",
            setting=f"models.{model}.{setting_of(subject.host.settings.models[model], wrong.word)}",
        )


def _line(
    subject: Subject, file: Written, model: str, line: int, words: Sequence[str]
) -> Iterator[Finding]:
    def finding(message: str, fix: str, setting: str = "") -> Finding:
        return subject.finding(
            "llama-server-line", file, line, f"{model}: {message}", fix, setting=setting
        )

    host, template = subject.host, "mend templates/config.yaml.j2."
    program = host.layout.program("llama-server")
    if words[:1] != [program]:
        yield finding(
            f"its program is {words[0] if words else 'missing'}, not {program}.", template
        )
    if (address := _value(words, "--host")) != "127.0.0.1":
        yield finding(f"it listens on {address}, where nobody asks for a key.", template)
    if _value(words, "--port") != "${PORT}":
        yield finding("it does not listen on the port that llama-swap gives it.", template)
    files = {
        host.layout.under("models", resolved.directory, path)
        for resolved in host.models
        if resolved.name == model
        for path in resolved.weights
    }
    if (path := _value(words, "--model")) not in files:
        fix = f"serve a file that models.lock has; `{command('lock')}` makes it anew."
        yield finding(
            f"it serves {path}, which is none of its locked files.", fix, f"models.{model}"
        )


def _value(words: Sequence[str], flag: str) -> str | None:
    """What follows a flag, the last time that it stands there."""
    found = [b for a, b in itertools.pairwise(words) if a == flag]
    return found[-1] if found else None
