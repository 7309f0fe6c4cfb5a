"""A stack's end on a Mac: what the toolkit put there goes, as it is found; all else stays.

Each operation looks at what is there now, so one that was killed in the middle is finished by the
next run, and one that finds nothing does nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand

from herd.core.mac import domains, pull_job
from herd.core.mac.belongings import Found, is_saved_slot, others, ours
from herd.core.mac.job_definitions import ALL_JOBS
from herd.core.mac.launchd import Job
from herd.core.mac.layout import Layout
from herd.core.models.missing_files import Holdings, belongings
from herd.core.text.units import gib
from herd.facts.belongings import StackFiles
from herd.facts.brew import Brew, InstalledByUs, Packages
from herd.facts.files import State
from herd.facts.gathered import Question
from herd.facts.launchd import Installed, Loaded
from herd.facts.listeners import Listeners
from herd.facts.models import Models
from herd.facts.script import script
from herd.operations import launchd
from herd.operations.commands import Commands, operation, shown
from herd.operations.linux import PATIENCE


def _pulls_asks(layout: Layout, *, uid: int, of: str) -> Iterator[Question]:
    yield from (Question(Installed, texts=pull_job.texts(name)) for name in (of, None))
    yield Question(Loaded, target=_pulls_target(layout, uid))
    yield Question(State, paths=[f"{layout.home}/{pull_job.LOG}"])


@operation(asks=_pulls_asks, changes=launchd.CHANGED)
def pulls(layout: Layout, *, uid: int, of: str) -> Commands:
    """
    End the job by which this Mac would deploy the stack again, and remove its log.

    + layout: where the stack lives, and its settings
    + uid: whose job it is
    + of: which host of its inventory the Mac deploys itself as
    """
    mine = {label for _, label in host.get_fact(Installed, texts=pull_job.texts(of))}
    others = {label for _, label in host.get_fact(Installed, texts=pull_job.texts())} - mine
    loaded = host.get_fact(Loaded, target=_pulls_target(layout, uid))
    if loaded and pull_job.is_one(loaded):
        mine.add(layout.label(pull_job.NAME))
    # Who else pulls here writes there, too.
    log = f"{layout.home}/{pull_job.LOG}"
    (entry,) = host.get_fact(State, paths=[log])
    old = entry.kind == "file" and not others - mine
    if not mine and not old:
        host.noop("it does not deploy to itself")
        return
    for label in sorted(mine):
        yield from launchd.remove(label, domain=domains.agents(uid, layout.home))
    if old:
        yield StringCommand("rm -f", QuoteString(log))


def _pulls_target(layout: Layout, uid: int) -> str:
    return domains.agents(uid, layout.home).target(layout.label(pull_job.NAME))


def _jobs_asks(layout: Layout, *, uid: int) -> Iterator[Question]:
    yield launchd.installed(layout)
    for name in ALL_JOBS:
        yield Question(Loaded, target=layout.domain(uid).target(layout.label(name)))


@operation(asks=_jobs_asks, changes=launchd.CHANGED)
def jobs(layout: Layout, *, uid: int) -> Commands:
    """
    End the jobs of a stack, and remove their property lists.

    + layout: where the stack lives, and its settings
    + uid: whose jobs they are
    """
    installed, domain = launchd.installed(layout).ask(host), layout.domain(uid)
    labels = map(layout.label, ALL_JOBS)
    loaded = {label: host.get_fact(Loaded, target=domain.target(label)) for label in labels}
    running = [(domain.kind, label) for label, job in loaded.items() if job and is_of(job, layout)]
    found = list(dict.fromkeys([*installed, *running]))
    if not found:
        host.noop("there are no jobs")
        return
    for kind, label in found:
        yield from launchd.remove(label, domain=domains.of_kind(kind, uid, layout.home))


def is_of(job: Job, layout: Layout) -> bool:
    """Whether a job of our label runs this stack, and not another one's under the same label."""
    return any(f"{layout.root}/" in word for word in job.arguments)


def _processes_asks(layout: Layout) -> Iterator[Question]:
    yield Question(Listeners, ports=list(layout.ports))


@operation(asks=_processes_asks, changes=[Listeners])
def processes(layout: Layout) -> Commands:
    """
    End what runs of a stack outside launchd: a Terminal window, a hand-run start.

    + layout: where the stack lives, and its settings
    """
    listeners = host.get_fact(Listeners, ports=list(layout.ports)).values()
    pids = {pid for each in listeners if each.belongs_to(layout.root) for pid in each.processes}
    if not pids:
        host.noop("nothing of the stack runs")
        return
    yield script("stop-processes", *sorted(pids))


def _files_asks(layout: Layout) -> Iterator[Question]:
    for directory in (layout.root, *layout.slot_directories):
        yield Question(StackFiles, root=directory)


@operation(asks=_files_asks, changes=[StackFiles])
def files(layout: Layout) -> Commands:
    """
    Remove the stack's files: programs, configuration, keys, books, logs, marks; and directories of
    saved slots, unless there is something of somebody else's in them.

    + layout: where the stack lives, and its settings
    """
    found: Sequence[Found] | None = host.get_fact(StackFiles, root=layout.root)
    mine = [layout.under(path) for path in ours(found or [])]
    emptied = []
    for directory in layout.slot_directories:
        there: Sequence[Found] | None = host.get_fact(StackFiles, root=directory)
        slots = [each.path for each in there or [] if is_saved_slot(each)]
        mine += [f"{directory}/{path}" for path in slots]
        if there is not None and len(slots) == len(there):
            emptied.append(directory)
    if not mine and not emptied:
        host.noop("there are no files of the stack")
        return
    if mine:
        yield StringCommand("rm -rf", *map(QuoteString, mine))
    if emptied:
        yield StringCommand("rmdir", *map(QuoteString, emptied), "2>/dev/null || :")


def _models_asks(layout: Layout, *, remove: bool) -> Iterator[Question]:
    yield Question(Models, directory=layout.models)


@operation(asks=_models_asks, changes=[Models, StackFiles])
def models(layout: Layout, *, remove: bool) -> Commands:
    """
    Remove model files that the toolkit fetched, and what it noted of those beside them.

    + layout: where the stack lives, and its settings
    + remove: whether to; if not, they stay with their notes, by which a later run knows them
    """
    there = host.get_fact(Models, directory=layout.models)
    if not remove:
        host.noop("models stay")
        return
    mine = belongings(there)
    tops = sorted({path.partition("/")[0] for path in [*mine, *there.receipts]})
    if not tops:
        host.noop("there are no models that the toolkit fetched")
        return
    # Files before their notes: without those nobody knows whose they are.
    if mine:
        paths = [QuoteString(f"{layout.models}/{path}") for path in mine]
        yield StringCommand("rm -f", *paths)
    notes = [QuoteString(f"{layout.models}/{top}/.herd") for top in tops]
    directories = [QuoteString(f"{layout.models}/{top}") for top in tops]
    yield StringCommand("rm -rf", *notes)
    yield StringCommand("find", *directories, "-type d -empty -delete")
    # Then the stack's own may be empty, too, where all else of it went before.
    yield StringCommand("rmdir", QuoteString(layout.models), "2>/dev/null || :")


def _packages_asks(layout: Layout, *, remove: bool) -> Iterator[Question]:
    yield Question(InstalledByUs, path=layout.installed_packages)
    if remove:
        yield Question(Installed, texts=[])
        yield Question(Brew, homebrew_prefix=layout.settings.homebrew_prefix)


@operation(asks=_packages_asks)
def packages(layout: Layout, *, remove: bool) -> Commands:
    """
    Uninstall Homebrew's packages, or apt's, that a deploy of this stack installed; others stay, as
    does one that others need by now.

    + layout: where the stack lives, and its settings
    + remove: whether to
    """
    noted = host.get_fact(InstalledByUs, path=layout.installed_packages)
    if not remove or not noted:
        host.noop("packages stay")
        return
    if _other_stacks(layout):
        host.noop("another stack on this Mac uses the packages")
        return
    if layout.is_linux:
        yield shown("apt", PATIENCE, "remove", *noted)
        yield StringCommand("rm -f", QuoteString(layout.installed_packages))
        return
    prefix = layout.settings.homebrew_prefix
    state = host.get_fact(Brew, homebrew_prefix=prefix) or Packages((), {}, None)
    mine = [name for name in noted if name.rpartition("/")[2] in state.formulae]
    yield shown("brew-uninstall", prefix, layout.installed_packages, *mine)


def _other_stacks(layout: Layout) -> list[str]:
    """Labels of jobs of other stacks."""
    every: list[tuple[str, str]] = host.get_fact(Installed, texts=[])
    mine: list[tuple[str, str]] = launchd.installed(layout).ask(host)
    return [label for kind, label in every if (kind, label) not in mine]


@operation(asks=_files_asks, changes=[StackFiles])
def directories(layout: Layout) -> Commands:
    """
    Remove the stack's directories that are empty by now.

    + layout: where the stack lives, and its settings
    """
    found = host.get_fact(StackFiles, root=layout.root)
    if found is None or not _may_be_empty(found):
        host.noop("they are not empty, or not there")
        return
    paths = [layout.proxy, layout.models, layout.root]
    yield StringCommand("rmdir", *map(QuoteString, paths), "2>/dev/null || :")


def _may_be_empty(found: Sequence[Found]) -> bool:
    """Whether the directory, or one of ours in it, may hold nothing; a look into that of the models
    would cost more than to try."""
    below = {each.path.partition("/")[0] for each in found if "/" in each.path}
    names = {each.path for each in found if "/" not in each.path}
    return not names or ("proxy" in names and "proxy" not in below)


@operation()
def stays(layout: Layout, *, shared: Mapping[str, str] | None = None) -> Commands:
    """
    Say what is left, and why, once the run is over.

    + layout: where the stack lives, and its settings
    + shared: what else is left, by name
    """
    if host.state.is_executing:
        for name, what in [*_left(layout), *(shared or {}).items()]:
            host.log(f"stays: {f'{name}:':<10}{what}")
    host.noop("nothing to do")
    yield from ()


def _left(layout: Layout) -> Iterator[tuple[str, str]]:
    there: Holdings = host.get_fact(Models, directory=layout.models)
    mine = belongings(there)
    if size := sum(there.size(path) for path in mine):
        yield "models", f"{gib(size)} in {layout.models}; `--models` removes them"
    if rest := sum(stat.size for path, stat in there.files.items() if path not in mine):
        yield "models", f"{gib(rest)} in {layout.models} that no deploy fetched, so they are yours"
    noted = host.get_fact(InstalledByUs, path=layout.installed_packages)
    if noted and _other_stacks(layout):
        yield "packages", f"{_short(noted)}; another stack on this Mac uses them"
    elif noted:
        yield "packages", f"{_short(noted)}; `--packages` uninstalls them"
    elif host.get_fact(Brew, homebrew_prefix=layout.settings.homebrew_prefix):
        yield "packages", "Homebrew, and its packages that no deploy is known to have installed"
    found: Sequence[Found] | None = host.get_fact(StackFiles, root=layout.root)
    if names := others(found or []):
        yield "files", f"in {layout.root} that are not the toolkit's: {', '.join(names)}"


def _short(names: Iterable[str]) -> str:
    return ", ".join(name.rpartition("/")[2] for name in names)
