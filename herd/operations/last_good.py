"""What served before a change is kept, and put back when the run cannot finish.

It is kept once in a run, before the first command that changes what defines the stack, and only
where the stack serves then: what does not is not worth it.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from herd.facts.script import script
from herd.operations.commands import Commands, shown


@cache
def _run() -> str:
    """Names this run."""
    return secrets.token_hex(8)


def guarded(
    layout: Layout, commands: Commands, *, ends_streams: bool = False, of_gateway: bool = False
) -> Commands:
    """The commands of an operation that changes what serves; when one fails, what served before
    is put back, and the operation has failed nevertheless. Where they end streams, the proxy lets
    these finish before, and takes nothing new until all is done, well or not; of what goes through
    a gateway that is its own proxy.

    Uninstall removes `Layout.last_good`, a directory.
    """
    drains = ends_streams and layout.settings.drain_timeout > 0
    is_drained = False
    where = layout.of_gateway("availability.json") if of_gateway else layout.availability
    for command in commands:
        if not _is_kept():
            yield script("keep-good", layout.root, _run(), *_agents(layout))
        if drains and not is_drained:
            is_drained = True
            yield drain(layout, where=where)
        yield _or(command, lambda: [_put_back(layout), undrain(layout, where=where)])
    if is_drained:
        yield undrain(layout, where=where)


def drain(layout: Layout, *, where: str = "") -> StringCommand:
    """Lets streams finish, and refuses what is new with this reason, unless its owner drains it."""
    seconds = layout.settings.drain_timeout
    return shown("drain", where or layout.availability, seconds, REASON, *_proxy(layout))


def undrain(layout: Layout, *, seconds: int = 15, where: str = "") -> StringCommand:
    """Takes requests again, if it is we who drained it; one that is just coming up is waited for
    so long."""
    return script("undrain", where or layout.availability, REASON, seconds, *_proxy(layout))


REASON = "Llama Herd changes what serves here"


def _proxy(layout: Layout) -> Iterator[str]:
    """The code of this run and its interpreter: the proxy that runs may be about to go."""
    yield layout.proxy_release(bundle())
    yield layout.proxy_python(bundle())


def _is_kept() -> bool:
    """Whether this run has done so on this host; said once it is asked while that goes on."""
    known = host.state.inventory.get_host(host.name).connector_data
    before = bool(known.get("last good is kept"))
    known["last good is kept"] = before or host.state.is_executing
    return before


def _or(command: Any, otherwise: Callable[[], Sequence[StringCommand]]) -> PyinfraCommand:
    """The command; when it fails, these are run, and it has failed nevertheless."""
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
        for each in otherwise():
            host.run_shell_command(each, print_output=True)
        return (False, CommandOutput([])) if isinstance(done, tuple) else False

    made.execute = attempt  # type: ignore[method-assign]
    return made


def _put_back(layout: Layout) -> StringCommand:
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
