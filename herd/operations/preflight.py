"""Refuses a Mac that cannot become what is wanted, before anything on it is changed."""

from collections.abc import Iterator, Mapping, Sequence

from pyinfra import host

from herd.core.mac import managed, startup_files, volumes
from herd.core.mac.domains import DAEMONS
from herd.core.mac.job_definitions import jobs_of
from herd.core.mac.layout import Layout
from herd.core.mac.packages import program_of
from herd.core.mac.preflight import (
    NOT_ASKED,
    WARNING,
    Homebrew,
    Needs,
    Room,
    problems,
    without_root,
)
from herd.core.mac.root_command import Command
from herd.core.mac.sudo_rules import probe, removals
from herd.core.models.missing_files import Resolved, repositories
from herd.core.settings.problems import Problem, count, report
from herd.facts import gathered
from herd.facts.boot import AtStart
from herd.facts.brew import Brew
from herd.facts.gathered import Question
from herd.facts.launchd import Loaded, Unread
from herd.facts.listeners import Listener, Listeners, foreign
from herd.facts.mac import Mac
from herd.facts.mac_settings import MacSettings
from herd.facts.models import Models
from herd.facts.programs import Owned
from herd.facts.startup_files import Printing
from herd.facts.sudo import SudoRefuses
from herd.operations import launchd, memory
from herd.operations.commands import Commands, operation, refuse, warn


def _check_asks(
    layout: Layout,
    needs: Needs,
    ports: Mapping[int, str],
    *,
    models: Sequence[Resolved],
    uid: int,
    asked: Sequence[str] = (),
) -> Iterator[Question]:
    settings = layout.settings
    yield Question(Mac, root=settings.stack_root, homebrew_prefix=settings.homebrew_prefix)
    yield Question(Models, directory=layout.models)
    yield Question(Listeners, ports=list(ports))
    for name in jobs_of(layout):
        yield Question(Loaded, target=layout.domain(uid).target(layout.label(name)))
    prefix, programs = settings.homebrew_prefix, list(map(program_of, needs.formulae))
    yield Question(Brew, homebrew_prefix=prefix)
    yield Question(Owned, homebrew_prefix=prefix, programs=programs)
    yield launchd.installed(layout)
    if needs.daemon:
        yield Question(AtStart)
    if needs.root:
        yield Question(SudoRefuses, words=probe(needs.root))
    if needs.fit != "off":
        yield from memory.asks(layout)
    if asked:
        yield Question(MacSettings, asked=list(asked))
    if needs.removable:
        yield Question(Unread, uid=uid, directories=list(needs.removable))


@operation(asks=_check_asks)
def check(
    layout: Layout,
    needs: Needs,
    ports: Mapping[int, str],
    *,
    models: Sequence[Resolved],
    uid: int,
    asked: Sequence[str] = (),
) -> Commands:
    """
    Fail this host, and only this one, with all of its problems.

    + layout: where the stack lives, and its settings
    + needs: what the stack asks of a Mac
    + ports: the ports of the stack, and the setting that names each
    + models: what their repositories hold
    + uid: whose jobs the stack's are
    + asked: what of the Mac's own settings the stack's ask for
    """
    settings = layout.settings
    mac = host.get_fact(Mac, root=settings.stack_root, homebrew_prefix=settings.homebrew_prefix)
    there = host.get_fact(Models, directory=layout.models)
    missing = {
        path: size for each in repositories(models) for path, size in each.remaining(there).items()
    }
    room = Room(sum(missing.values()), mac.disk_free if there.free is None else there.free)
    strangers = foreign_to(host.get_fact(Listeners, ports=list(ports)), layout, uid)
    holders = {f"{port} ({ports[port]})": str(listener) for port, listener in strangers.items()}
    if needs.fit != "off":
        told, questions = memory.questions_of(layout, models)
        needs = memory.as_told(needs, models, told, questions)
    # It matters to a daemon, and to say what to do instead where nobody is logged in.
    matters = needs.daemon or (needs.console and not mac.console)
    start = host.get_fact(AtStart) if matters else NOT_ASKED
    found = problems(mac, needs, room, holders, _homebrew(settings.homebrew_prefix, needs), start)
    withheld = _unless_root(probe(needs.root)) if needs.root else []
    if not withheld and not needs.daemon and _has_daemons(layout):
        # By the rule that daemons come by, whatever else it was for.
        why = "There is a LaunchDaemon of this stack, which is to go."
        withheld = _unless_root(probe(removals(layout)), why)
    found += withheld
    if asked:
        state = host.get_fact(MacSettings, asked=list(asked))
        found += managed.problems(settings, state, mac.memory)
    if needs.removable:
        unread = host.get_fact(Unread, uid=uid, directories=list(needs.removable))
        found += map(volumes.unread, unread)
    if noise := gathered.of(host.state.inventory.get_host(host.name)).noise:
        printing = host.get_fact(Printing)
        found.insert(0, startup_files.problem(noise, printing, mac.home))
    if known := [problem for problem in found if problem.kind == WARNING]:
        warn(report(f"{host.name} may be too small: {count(known)}.", known), known)
    found = [problem for problem in found if problem not in known]
    if not found:
        host.noop("this Mac has what the stack needs")
        return
    refuse(report(f"{host.name} cannot be set up: {count(found)}.", found), found)
    yield from ()


def _has_daemons(layout: Layout) -> bool:
    there = launchd.installed(layout).ask(host)
    return any(kind == DAEMONS.kind for kind, _ in there)


def _unless_root(words: Command, *why: str) -> list[Problem]:
    said = host.get_fact(SudoRefuses, words=words)
    return [without_root(said, *why)] if said else []


def _homebrew(prefix: str, needs: Needs) -> Homebrew | None:
    """What it has; None where there is none."""
    packages = host.get_fact(Brew, homebrew_prefix=prefix)
    programs = list(map(program_of, needs.formulae))
    owned = host.get_fact(Owned, homebrew_prefix=prefix, programs=programs)
    return Homebrew(packages.formulae, owned) if packages else None


def foreign_to(
    listeners: Mapping[int, Listener], layout: Layout, uid: int
) -> Mapping[int, Listener]:
    """Listeners that do not belong to this stack, neither by their place nor as its jobs."""
    others = foreign(listeners, layout.root, ())
    if not others:
        return {}
    # A stack that moves to another directory still runs in the old one.
    target = layout.domain(uid).target
    jobs = [host.get_fact(Loaded, target=target(layout.label(name))) for name in jobs_of(layout)]
    return foreign(listeners, layout.root, [job.pid for job in jobs if job and job.pid])
