"""launchd's jobs, or systemd's services: it has loaded exactly the wanted definition, and runs it.

What counts is what it has loaded, not what a file says or whether it just changed: the job
is unloaded before its file is replaced, so an interruption leaves a job that is not loaded or not
right, and the next run repairs either.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand

from herd.core.files import written_files
from herd.core.files.written_files import Launcher, Written
from herd.core.mac import sudo_rules
from herd.core.mac.domains import Domain
from herd.core.mac.job_definitions import EXIT_TIMEOUT
from herd.core.mac.layout import Layout
from herd.core.text.quoting import xml_quote
from herd.facts.answers import Answers
from herd.facts.files import Entry, Modes, Says, State
from herd.facts.gathered import Question
from herd.facts.launchd import HowStarted, Installed, Loaded
from herd.facts.listeners import Listeners
from herd.facts.script import script
from herd.operations import job_commands
from herd.operations.commands import Commands
from herd.operations.files import is_as_wanted, show_diff, write

# Beyond a job's own exit timeout, after which launchd kills it.
_GRACE = 15
_OF_NOTHING = hashlib.sha256().hexdigest()

CHANGED = (Loaded, HowStarted, Installed, State, Modes, Listeners, Answers, Says)
"""What is otherwise once a job is."""


def installed(layout: Layout) -> Question:
    """The jobs of this stack that some deploy installed, by what our property lists hold."""
    mark = layout.root if layout.is_linux else f"<string>{xml_quote(layout.root)}"
    return Question(Installed, texts=[f"{mark}/"])


def asks(
    *,
    domain: Domain,
    label: str,
    secret: str | None = None,
    launcher: tuple[str, str] | None = None,
) -> Iterator[Question]:
    """What `converge` compares with; `launcher` is where that is, and where it notes its start."""
    yield Question(Loaded, target=domain.target(label))
    yield Question(State, paths=[domain.plist(label), *([secret] if secret else [])])
    if launcher:
        path, started = launcher
        yield Question(State, paths=[path])
        yield Question(HowStarted, plist=domain.plist(label), started=started)


def converge(
    definition: Mapping[str, Any],
    *,
    domain: Domain,
    running: bool,
    console: bool = True,
    secret: str | None = None,
    launcher: Launcher | None = None,
) -> Commands:
    """Commands that keep a job loaded with this definition, for use in an operation.

    With `running` it must have a process; if not, one that runs goes on. Without `console` nobody
    is logged in, and the job will be loaded at login. `secret` is a file of random digits that the
    job reads at its start: where there is none, or one that others could read, another is made
    while the job does not run. `launcher` is what a daemon runs.
    """
    label = definition["Label"]
    path, target = domain.plist(label), domain.target(label)
    want = written_files.plist(definition, path)
    loaded = host.get_fact(Loaded, target=target)
    entry, *kept = host.get_fact(State, paths=[path, *([secret] if secret else [])])
    right_file = is_as_wanted(entry, want.content, want.mode)
    right_secret = all(map(is_secret, kept))
    right_job = right_secret and loaded is not None and loaded.runs_definition(definition, path)
    # Of a unit, systemd may have read what somebody has made of the file.
    right_job &= right_file or not domain.is_systemd
    alive = loaded is not None and loaded.pid is not None
    right_launcher = True
    if launcher:
        (there,) = host.get_fact(State, paths=[launcher.path])
        how = host.get_fact(HowStarted, plist=path, started=launcher.started)
        right_launcher = is_as_wanted(there, launcher.content, launcher.mode)
        right_file &= not how.quarantined
        right_job &= not alive or (right_launcher and how.digest == launcher.digest)
        # Root's file is new whenever it is loaded: whoever brought the old one, launchd takes it.
        right_file &= right_job
    settled = right_job or (not console and right_secret)
    if right_file and right_launcher and settled and (alive or not running):
        host.noop(f"{label} is as wanted")
        return
    if not right_file:
        show_diff(path, want.text)
    if loaded is not None and not right_job:
        wait = definition.get("ExitTimeOut", 5) + _GRACE
        yield job_commands.end(domain, label, wait)
    if secret and not right_secret:
        yield script("new-secret", secret)
    if launcher and not right_launcher:
        yield from write(launcher.path, launcher.content, launcher.mode)
    if not right_file:
        yield from _put(domain, want)
    if not right_job and console:
        yield job_commands.load(domain, label)
    # What runs at load needs no start, and a job that only opens a window has no process to await.
    restart = alive and not right_job and console and not definition.get("RunAtLoad")
    if running or restart:
        log = launcher.log if launcher else definition.get("StandardOutPath", "/dev/null")
        yield job_commands.start(domain, label, log)


def _put(domain: Domain, want: Written) -> Commands:
    if domain.is_roots:
        yield script("run-as-root", *sudo_rules.writes(want.path, want.text))
    else:
        yield from write(want.path, want.content, want.mode)


def is_secret(entry: Entry) -> bool:
    """Whether a file may hold what scripts/change/new-secret.sh writes, for its owner only."""
    return (entry.kind, entry.mode) == ("file", "600") and entry.sha256 != _OF_NOTHING


def remove(label: str, *, domain: Domain) -> Commands:
    """Commands that end a job and remove its definition, for use in an operation."""
    yield job_commands.end(domain, label, max(EXIT_TIMEOUT.values()) + _GRACE)
    if domain.is_roots:
        yield script("run-as-root", *sudo_rules.removes(label))
    else:
        yield job_commands.forget(domain, label)


def give_up(label: str, *, domain: Domain) -> Commands:
    """The same of an agent whose daemon comes in its place: the next login starts no second one,
    even if somebody brings the property list back."""
    target = QuoteString(domain.target(label))
    yield StringCommand("launchctl disable", target, ">/dev/null 2>&1 || :")
    yield from remove(label, domain=domain)


def signal(label: str, *, domain: Domain, name: str) -> StringCommand:
    """A command that sends a job's process a signal ("HUP"), if there is one."""
    target = QuoteString(domain.target(label))
    if not domain.is_roots:
        return StringCommand(f"launchctl kill SIG{name}", target, ">/dev/null 2>&1 || :")
    # The process is the user's, though its domain is root's.
    pid = StringCommand("launchctl print", target, "2>/dev/null | sed -n 's/^\tpid = //p'")
    return StringCommand(f"kill -{name}", StringCommand("$(", pid, ")"), "2>/dev/null || :")
