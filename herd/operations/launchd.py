"""Jobs of the logged-in user: launchd has loaded exactly the wanted definition, and runs it.

What counts is what launchd has loaded, not what a file says or whether it just changed: the job
is unloaded before its file is replaced, so an interruption leaves a job that is not loaded or not
right, and the next run repairs either.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand

from herd.core.files import written_files
from herd.facts.answers import Answers
from herd.facts.files import Entry, Modes, State
from herd.facts.gathered import Question
from herd.facts.launchd import Installed, Loaded
from herd.facts.listeners import Listeners
from herd.facts.script import script
from herd.operations.commands import Commands
from herd.operations.files import is_as_wanted, show_diff, write

# Beyond a job's own exit timeout, after which launchd kills it.
_GRACE = 15
_OF_NOTHING = hashlib.sha256().hexdigest()

CHANGED = (Loaded, Installed, State, Modes, Listeners, Answers)
"""What is otherwise once a job is."""


def asks(*, uid: int, label: str, path: str, secret: str | None = None) -> Iterator[Question]:
    """What `converge` compares with."""
    yield Question(Loaded, uid=uid, label=label)
    yield Question(State, paths=[path, *([secret] if secret else [])])


def converge(
    definition: Mapping[str, Any],
    *,
    uid: int,
    path: str,
    running: bool,
    console: bool = True,
    secret: str | None = None,
) -> Commands:
    """Commands that keep a job loaded with this definition, for use in an operation.

    `path` is that of its property list. With `running` it must have a process; if not, one that
    runs goes on. Without `console` nobody is logged in, and the job will be loaded at login.
    `secret` is a file of random digits that the job reads at its start: where there is none, or
    one that others could read, another is made while the job does not run.
    """
    label = definition["Label"]
    target = f"gui/{uid}/{label}"
    want = written_files.plist(definition, path)
    loaded = host.get_fact(Loaded, uid=uid, label=label)
    entry, *kept = host.get_fact(State, paths=[path, *([secret] if secret else [])])
    right_file = is_as_wanted(entry, want.content, want.mode)
    right_secret = all(map(is_secret, kept))
    right_job = right_secret and loaded is not None and loaded.runs_definition(definition, path)
    alive = loaded is not None and loaded.pid is not None
    settled = right_job or (not console and right_secret)
    if right_file and settled and (alive or not running):
        host.noop(f"{label} is as wanted")
        return
    if not right_file:
        show_diff(path, want.text)
    if loaded is not None and not right_job:
        wait = definition.get("ExitTimeOut", 5) + _GRACE
        yield script("job-unload", target, wait)
    if secret and not right_secret:
        yield script("new-secret", secret)
    if not right_file:
        yield from write(path, want.content, want.mode)
    if not right_job and console:
        yield script("job-load", f"gui/{uid}", label, path)
    # What runs at load needs no start, and a job that only opens a window has no process to await.
    restart = alive and not right_job and console and not definition.get("RunAtLoad")
    if running or restart:
        yield script("job-start", target, definition.get("StandardOutPath", "/dev/null"))


def is_secret(entry: Entry) -> bool:
    """Whether a file may hold what scripts/change/new-secret.sh writes, for its owner only."""
    return (entry.kind, entry.mode) == ("file", "600") and entry.sha256 != _OF_NOTHING


def remove(label: str, *, uid: int, path: str) -> Commands:
    """Commands that end a job and remove its property list, for use in an operation."""
    yield script("job-unload", f"gui/{uid}/{label}", 40 + _GRACE)
    yield StringCommand("rm -f", QuoteString(path))
