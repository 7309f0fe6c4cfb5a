"""Pinned releases of llama.cpp and llama-swap: each in a directory of its own, and a link says
which one runs. A release is tried before anything leads to it."""

from collections.abc import Iterator, Mapping, Sequence

from pyinfra import host, logger
from pyinfra.api import QuoteString, StringCommand

from herd.core.mac import llama_server_flags, releases
from herd.core.mac.layout import Layout
from herd.core.mac.releases import SOFTWARE, Held, NothingBefore, There
from herd.core.models.missing_files import Resolved
from herd.core.settings.problems import count, report
from herd.core.settings.release import version_of
from herd.facts.answers import Answers
from herd.facts.fit_params import FitParams
from herd.facts.gathered import Question
from herd.facts.listeners import Listeners
from herd.facts.llama_server import KnownFlags
from herd.facts.mac import Mac
from herd.facts.programs import Linked
from herd.facts.releases import PinnedReleases
from herd.facts.script import script
from herd.operations import llama_swap
from herd.operations.commands import Commands, operation, refuse, shown
from herd.operations.last_good import guarded


def _asks(layout: Layout) -> Iterator[Question]:
    yield Question(PinnedReleases, directory=layout.releases, last_good=layout.last_good)


def _switched_asks(
    layout: Layout, files: Sequence[Resolved], *, forward: bool
) -> Iterator[Question]:
    yield from _asks(layout)


def _there(layout: Layout) -> There:
    there: There = host.get_fact(
        PinnedReleases, directory=layout.releases, last_good=layout.last_good
    )
    return there


@operation(asks=_asks, changes=[PinnedReleases, KnownFlags, FitParams])
def installed(layout: Layout) -> Commands:
    """
    Have the pinned releases, each whole and known to run on this Mac, or not at all.

    + layout: where the stack lives, and its settings
    """
    there, programs = _there(layout), {software: name for name, software in SOFTWARE.items()}
    missing = {
        software: release
        for software, release in layout.settings.releases.items()
        if release.directory not in there.whole.get(software, ())
    }
    if not missing:
        host.noop("the pinned releases are there")
        return
    for software, release in missing.items():
        directory = f"{layout.releases}/{software}/{release.directory}"
        yield shown("release", directory, release.url, release.sha256, programs[software])


@operation(
    asks=_switched_asks, changes=[PinnedReleases, KnownFlags, Linked, Listeners, Answers, Mac]
)
def switched(layout: Layout, files: Sequence[Resolved], *, forward: bool) -> Commands:
    """
    Have the links lead to the releases that are to run, once llama-swap accepts its configuration
    for them; what runs goes on until its job is restarted.

    + layout: where the stack lives, and its settings
    + files: those of each model
    + forward: whether what a rollback holds is let go
    """
    pins, there = releases.pinned(layout.settings), _there(layout)
    want = releases.wanted(pins, there, forward=forward)
    holds = releases.holds(pins, there, forward=forward)
    if host.state.is_executing:
        _say_what_is_held(holds)
    other = {name: each for name, each in want.items() if there.current.get(name) != each}
    if not other and holds == there.held:
        host.noop("the links lead to them")
        return
    yield from guarded(layout, _switch(layout, files, want, other, holds))


def _switch(
    layout: Layout,
    files: Sequence[Resolved],
    want: Mapping[str, str],
    other: Mapping[str, str],
    holds: Mapping[str, Held],
) -> Commands:
    if other:

        def at(program: str) -> str:
            software = SOFTWARE[program]
            release = want.get(software)
            place = f"{layout.releases}/{software}/{release}/{program}"
            return place if release else layout.program(program)

        flags = host.get_fact(KnownFlags, program=at("llama-server"))
        if flags and (wrong := list(llama_swap.refused_arguments(layout, files, flags))):
            title = f"{host.name} would get a llama-server that does not start: {count(wrong)}."
            refuse(report(title, wrong))
            return
        flags = flags or llama_server_flags.CURRENT
        yield from llama_swap.accepted(layout, files, flags, at("llama-swap"))
    held = "\n".join(f"{name} {h.release} {h.pinned}" for name, h in holds.items())
    yield script(
        *("switch-release", layout.releases, held),
        *(word for pair in other.items() for word in pair),
    )


def _say_what_is_held(holds: Mapping[str, Held]) -> None:
    for name, held in holds.items():
        setting = f"{name.replace('.', '_').replace('-', '_')}_release"
        host.log(
            f"{name} is held at {version_of(held.release)} since a rollback, and {setting} is "
            f"{version_of(held.pinned)}: pin another one, or let go of it by `make upgrade`",
            logger.warning,
        )


@operation(asks=_asks, changes=[PinnedReleases])
def rolled_back(layout: Layout) -> Commands:
    """
    Hold the releases that ran before the last switch, for as long as the inventory pins those that
    run now; a host without any fails.

    + layout: where the stack lives, and its settings
    """
    there = _there(layout)
    try:
        back = releases.rolled_back(releases.pinned(layout.settings), there)
    except NothingBefore as error:
        refuse(f"{host.name} cannot be rolled back: {error}")
        return
    if back == there.held:
        host.noop("that has been done")
        return
    held = "\n".join(f"{name} {h.release} {h.pinned}" for name, h in back.items())
    yield from guarded(layout, _hold(layout, held))


def _hold(layout: Layout, held: str) -> Commands:
    yield script("switch-release", layout.releases, held)


@operation(asks=_asks, changes=[PinnedReleases, Mac])
def only(layout: Layout) -> Commands:
    """
    Remove releases that nothing runs any more, but for a few older ones; of what is Homebrew's
    again, the link.

    + layout: where the stack lives, and its settings; uninstall removes `Layout.releases` whole
    """
    pins, there = releases.pinned(layout.settings), _there(layout)
    links = [f"{name}/current" for name in there.current if name not in pins]
    old = [*sorted(releases.removable(pins, there)), *links]
    if not old:
        host.noop("there are no old releases")
        return
    yield StringCommand("rm -rf", *(QuoteString(f"{layout.releases}/{path}") for path in old))
