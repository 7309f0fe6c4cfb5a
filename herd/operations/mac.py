"""Settings of the Mac itself, which root changes: only those that differ, and each is looked at
again afterwards, as its tool says that all went well in any case.

What a setting was is noted on the Mac once, before its first change; `restored` puts that back.
"""

from collections.abc import Callable, Iterator, Sequence

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand

from herd.core.mac import managed, packet_filter
from herd.core.mac import wired_limit as wired
from herd.core.mac.domains import DAEMONS
from herd.core.mac.layout import Layout
from herd.core.mac.managed import Change
from herd.facts.files import State
from herd.facts.gathered import Question
from herd.facts.launchd import Loaded
from herd.facts.mac import Mac
from herd.facts.mac_settings import Before, MacSettings
from herd.facts.script import script
from herd.operations import launchd
from herd.operations.commands import Commands, operation


def _kept_asks(layout: Layout, kind: str, *, asked: Sequence[str]) -> Iterator[Question]:
    yield Question(MacSettings, asked=list(asked))
    yield _mac(layout)


@operation(asks=_kept_asks, changes=[MacSettings, Before, Mac])
def kept(layout: Layout, kind: str, *, asked: Sequence[str]) -> Commands:
    """
    Keep the settings of one kind as they are wanted.

    + layout: where the stack lives, and its settings
    + kind: of `herd.core.mac.managed.KINDS`
    + asked: what is asked of the Mac in this run, by `herd.core.mac.managed.asked`
    """

    def different() -> list[Change]:
        state = host.get_fact(MacSettings, asked=list(asked))
        macos = _mac(layout).ask(host).macos
        return managed.changes(managed.wanted(kind, layout.settings, state, macos), state)

    yield from _changed(layout, different)


def _changed(layout: Layout, different: Callable[[], list[Change]]) -> Commands:
    found = different()
    if not found:
        host.noop("the Mac is as wanted")
        return
    for each in found:
        for command in each.commands:
            yield script("mac-set", layout.mac_before, each.name, each.is_now, *command)
    if wrong := managed.untaken(different()):
        yield _failure(wrong)


def _wired_limit_asks(layout: Layout, *, asked: Sequence[str]) -> Iterator[Question]:
    yield Question(MacSettings, asked=list(asked))
    yield from launchd.asks(domain=DAEMONS, label=wired.LABEL)


@operation(asks=_wired_limit_asks, changes=[MacSettings, Before, Mac, *launchd.CHANGED])
def wired_limit(layout: Layout, *, asked: Sequence[str]) -> Commands:
    """
    Keep what the GPU may wire, now and at each start of the Mac.

    + layout: where the stack lives, and its settings
    + asked: what is asked of the Mac in this run
    """
    settings = layout.settings
    limit = settings.mac_gpu_wired_limit_mb
    now = host.get_fact(MacSettings, asked=list(asked)).wired
    if limit is None or now is None:
        return
    job = list(launchd.converge(wired.job(limit), domain=DAEMONS, running=False))
    if job or now != limit:
        yield script("mac-note", layout.mac_before, managed.WIRED_LIMIT, now)
        yield _note_job(layout, wired.LABEL)
    yield from job
    if now != limit:
        target = DAEMONS.target(wired.LABEL)
        yield script("wired-limit", limit, target, settings.llama_swap_port, layout.swap_key)


def _networks_asks(layout: Layout, *, asked: Sequence[str]) -> Iterator[Question]:
    yield Question(MacSettings, asked=list(asked))
    yield from launchd.asks(domain=DAEMONS, label=packet_filter.label(layout))


@operation(asks=_networks_asks, changes=[MacSettings, Before, *launchd.CHANGED])
def networks(layout: Layout, *, asked: Sequence[str]) -> Commands:
    """
    Keep which networks reach the proxy, now and at each start of the Mac.

    + layout: where the stack lives, and its settings
    + asked: what is asked of the Mac in this run
    """

    def complaint() -> str | None:
        found = host.get_fact(MacSettings, asked=list(asked)).networks
        return packet_filter.complaint(layout, found) if found else None

    label = packet_filter.label(layout)
    job = list(launchd.converge(packet_filter.job(layout), domain=DAEMONS, running=False))
    if not job and not complaint():
        return
    yield _note_job(layout, label)
    yield from job
    yield script("root-job-run", DAEMONS.target(label))
    if wrong := complaint():
        yield _failure(f"The Mac did not take it: {wrong}.")


def _note_job(layout: Layout, label: str) -> StringCommand:
    return script("mac-note", layout.mac_before, managed.JOB + label, managed.ABSENT)


def _restored_asks(layout: Layout) -> Iterator[Question]:
    yield Question(Before, path=layout.mac_before)


@operation(asks=_restored_asks)
def restored(layout: Layout) -> Commands:
    """
    Put back what every setting of the Mac was before a deploy changed it first, and forget it.

    + layout: where the stack lives, and its settings
    """
    before = host.get_fact(Before, path=layout.mac_before)
    if not before:
        host.noop("no setting of the Mac was changed")
        return
    for label in managed.jobs_in(before):
        yield from _without_job(label)
    asked = managed.asked(layout, managed.kinds_of(before))

    def different() -> list[Change]:
        return managed.changes(before, host.get_fact(MacSettings, asked=asked))

    for each in different():
        for command in each.commands:
            yield script("run-as-root", *command)
    if wrong := managed.untaken(different()):
        yield _failure(wrong)
    yield StringCommand("rm -f", QuoteString(layout.mac_before))
    folder = layout.mac_before.rpartition("/")[0]  # where other stacks of this Mac note theirs, too
    yield StringCommand("rmdir", QuoteString(folder), "2>/dev/null || :")


def _without_job(label: str) -> Commands:
    (plist,) = host.get_fact(State, paths=[DAEMONS.plist(label)])
    if plist.kind != "absent" or host.get_fact(Loaded, target=DAEMONS.target(label)):
        yield from launchd.remove(label, domain=DAEMONS)
        # What it loaded would stay until the Mac restarts.
        for command in packet_filter.without(label):
            yield script("run-as-root", *command)


def _failure(words: str) -> StringCommand:
    return StringCommand("printf '%s\\n'", QuoteString(words), ">&2; exit 1")


def _mac(layout: Layout) -> Question:
    settings = layout.settings
    return Question(Mac, root=settings.stack_root, homebrew_prefix=settings.homebrew_prefix)
