"""What served before a change is kept, and put back when the run cannot finish.

It is kept once in a run, before the first command that changes what defines the stack, and only
where the stack serves then: what does not is not worth it.
"""

import secrets
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.command import PyinfraCommand
from pyinfra.api.util import print_host_combined_output
from pyinfra.connectors.util import CommandOutput

from herd.core.mac import domains, job_definitions, sudo_rules
from herd.core.mac.archives import bundle
from herd.core.mac.domains import DAEMONS
from herd.core.mac.job_definitions import jobs_of
from herd.core.mac.launchd import compact
from herd.core.mac.layout import Layout
from herd.facts.files import Says
from herd.facts.gathered import Question
from herd.facts.script import script
from herd.operations import slots
from herd.operations.commands import Commands, shown


@cache
def _run() -> str:
    """Names this run."""
    return secrets.token_hex(8)


def guarded(layout: Layout, commands: Commands, *, ends_streams: bool = False) -> Commands:
    """The commands of an operation that changes what serves; when one fails, what served before
    is put back, and the operation has failed nevertheless. Where they end streams, the proxy lets
    these finish before, and takes nothing new until the stack has answered (`serving.serves`), or
    is put back; what models have read of prompts is saved, and read again then.

    Uninstall removes `Layout.last_good`, a directory.
    """
    drains = ends_streams and layout.settings.drain_timeout > 0
    for command in commands:
        if _is_first("last good is kept"):
            yield script("keep-good", layout.root, _run(), *_agents(layout))
        if drains and _is_first("drained"):
            yield drain(layout, layout.availability)
        if ends_streams and _is_first("slots are saved"):
            yield from slots.save(layout)
        remedies = (put_back(layout), *slots.restore(layout))
        yield _or(command, *remedies, undrain(layout, layout.availability))


def without_streams(layout: Layout, commands: Commands) -> Commands:
    """The same of one that restarts a job of the gateway: the proxy before it lets what is open
    finish, and takes nothing new until all is done, well or not."""
    word, is_drained = layout.gateway_availability, False
    for command in commands:
        if _is_first("last good is kept"):
            yield script("keep-good", layout.root, _run(), *_agents(layout))
        if not is_drained and layout.settings.drain_timeout > 0:
            is_drained = True
            yield drain(layout, word)
        yield _or(command, put_back(layout), undrain(layout, word))
    if is_drained:
        yield undrain(layout, word)


def drain(layout: Layout, word: str) -> StringCommand:
    """Lets streams finish, and refuses what is new with this reason, unless its owner drains it;
    `word` is the proxy's file for that."""
    seconds = layout.settings.drain_timeout
    return shown("drain", word, seconds, REASON, *_proxy(layout))


def undrain(layout: Layout, word: str) -> StringCommand:
    """Takes requests again, if it is we who drained it; one that is coming up is waited for."""
    return script("undrain", word, REASON, 15, *_proxy(layout))


def is_drained(word: str) -> Question:
    """Whether it is we who drained a proxy; a run that was killed may have left it so."""
    return Question(Says, path=word, text=REASON)


REASON = "Llama Herd changes what serves here"


def _proxy(layout: Layout) -> Iterator[str]:
    """The code of this run and its interpreter: the proxy that runs may be about to go."""
    yield layout.proxy_release(bundle())
    yield layout.proxy_python(bundle())


def _is_first(what: str) -> bool:
    """Whether this run has not done so on this host; it has once it is asked while that goes on."""
    known = host.state.inventory.get_host(host.name).connector_data
    before = bool(known.get(what))
    known[what] = before or host.state.is_executing
    return not before


def _or(command: Any, *remedies: StringCommand) -> PyinfraCommand:
    """A command that is followed by others where it fails."""
    made = StringCommand(command) if isinstance(command, str) else command
    execute = made.execute

    def attempt(state: Any, host: Any, arguments: Any) -> Any:
        done = execute(state, host, arguments)
        ok, output = done if isinstance(done, tuple) else (done, CommandOutput([]))
        if ok:
            return done
        # First why, then what was done about it.
        if not state.print_output:
            print_host_combined_output(host, output)
        for remedy in remedies:
            host.run_shell_command(remedy, print_output=True)
        return (False, CommandOutput([])) if isinstance(done, tuple) else False

    made.execute = attempt  # type: ignore[method-assign]
    return made


def put_back(layout: Layout) -> StringCommand:
    """Has what served before serve again, where anything of it differs now."""
    keeps = layout.settings.launchd_autostart == "background"
    of_jobs = zip(jobs_of(layout), _agents(layout), map(_writes, _daemons(layout)), strict=True)
    where = "system" if layout.is_daemon else "session"
    words = [word for each in of_jobs for word in each]
    return script("put-back", layout.root, where, "yes" if keeps else "", *words)


def _agents(layout: Layout) -> list[str]:
    """Where the property lists of the jobs are, if they are the session's."""
    return [domains.agents(0, layout.home).plist(layout.label(job)) for job in jobs_of(layout)]


def _daemons(layout: Layout) -> Iterator[Mapping[str, Any]]:
    """The property lists of the jobs, if they are the system's: what served may have been so,
    whatever is wanted now."""
    return (job_definitions.daemon(layout, job) for job in jobs_of(layout))


def _writes(daemon: Mapping[str, Any]) -> str:
    """What root runs to put such a one in place."""
    *_, text = sudo_rules.writes(DAEMONS.plist(daemon["Label"]), compact(daemon))
    return text
