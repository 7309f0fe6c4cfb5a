"""llama-swap's config.yaml: written only when it changes, and only if llama-swap accepts it.

llama-swap reloads when the file's time changes, and a reload stops every running model.
"""

from collections.abc import Iterator, Sequence

from pyinfra import host, logger

from herd.core.files import templates, written_files
from herd.core.files.written_files import Written
from herd.core.mac import command_line, llama_server_flags
from herd.core.mac.arguments_by_help import refused, setting_of
from herd.core.mac.layout import Layout
from herd.core.mac.llama_server_flags import Flags
from herd.core.models.missing_files import Resolved
from herd.core.settings.problems import Problem, count, report
from herd.facts.answers import Answers
from herd.facts.files import Says, State
from herd.facts.gathered import Question
from herd.facts.listeners import Listeners
from herd.facts.llama_server import KnownFlags
from herd.facts.script import script
from herd.operations.commands import Commands, operation, refuse
from herd.operations.files import is_as_wanted, show_diff, write
from herd.operations.last_good import guarded


def _config_asks(layout: Layout, files: Sequence[Resolved]) -> Iterator[Question]:
    yield Question(KnownFlags, program=layout.program("llama-server"))
    yield Question(State, paths=[layout.config])


@operation(asks=_config_asks, changes=[State, Listeners, Answers, Says])
def config(layout: Layout, files: Sequence[Resolved]) -> Commands:
    """
    Keep llama-swap's configuration, in flags that the installed llama-server knows.

    + layout: where the stack lives, and its settings
    + files: those of each model; one whose files have another content is loaded anew
    """
    flags = host.get_fact(KnownFlags, program=layout.program("llama-server"))
    (entry,) = host.get_fact(State, paths=[layout.config])
    _say_what_is_dropped(layout, flags)
    if flags and (wrong := list(refused_arguments(layout, files, flags))):
        title = f"{host.name} has a llama-server that would not start: {count(wrong)}."
        refuse(report(title, wrong), wrong)
        return
    flags = flags or llama_server_flags.CURRENT
    want = written_files.config(layout, files, flags)
    if is_as_wanted(entry, want.content, want.mode):
        host.noop("config.yaml is as wanted")
        return
    show_diff(want.path, want.text)
    reloads = layout.settings.llama_swap_watch_config
    yield from guarded(layout, _written(layout, files, flags, want), ends_streams=reloads)


def _written(layout: Layout, files: Sequence[Resolved], flags: Flags, want: Written) -> Commands:
    yield from accepted(layout, files, flags, layout.program("llama-swap"))
    yield from write(want.path, want.content, want.mode)
    if layout.settings.llama_swap_watch_config:
        yield script("await-reload", layout.settings.llama_swap_port)


def accepted(layout: Layout, files: Sequence[Resolved], flags: Flags, program: str) -> Commands:
    """Commands that fail where a llama-swap does not accept the configuration; the one that is
    there stays."""
    trial = layout.under("config.trial.yaml")
    yield from write(trial, templates.config(layout, files, flags, preload=[]), "600")
    yield script("accept-config", program, trial)


def refused_arguments(layout: Layout, files: Sequence[Resolved], flags: Flags) -> Iterator[Problem]:
    """What the models' arguments hold that this llama-server does not take: an upgrade may have
    taken it away, so what is there already is looked at, too."""
    of = {each.name: each for each in files}
    for model in layout.settings.models.values():
        lines = command_line.arguments(layout, model, of[model.name], flags)
        for wrong in refused(flags, [word for line in lines for word in line]):
            what = f"{wrong.what[:1].upper()}{wrong.what[1:]}"
            setting = setting_of(model, wrong.word)
            yield Problem(f"models.{model.name}.{setting}", what, wrong.fix)


def _say_what_is_dropped(layout: Layout, flags: Flags | None) -> None:
    wanted = [model.name for model in layout.settings.models.values() if model.mlock]
    if wanted and flags and llama_server_flags.mlock_arguments(flags) is None:
        host.log(
            f"mlock is left out for {', '.join(wanted)}: this llama-server cannot", logger.warning
        )
