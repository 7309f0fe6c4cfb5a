"""Refuses a Mac that cannot become what is wanted, before anything on it is changed."""

from collections.abc import Mapping, Sequence

from pyinfra import host, logger
from pyinfra.api import QuoteString, StringCommand, operation

from herd.core.preflight import Needs, problems
from herd.core.problems import count, report
from herd.facts.files import Sizes
from herd.facts.listeners import Listeners
from herd.facts.mac import Mac
from herd.operations.commands import Commands


@operation()
def check(
    *, needs: Needs, root: str, homebrew_prefix: str, models: str, ports: Mapping[int, str]
) -> Commands:
    """
    Fail this host, and only this one, with all of its problems.

    + needs: what the stack asks of a Mac
    + root: the directory of the stack, "~" allowed
    + homebrew_prefix: where Homebrew is, or is to be
    + models: absolute path of the directory of all models
    + ports: the ports of the stack, and the setting that names each
    """
    mac = host.get_fact(Mac, root=root, homebrew_prefix=homebrew_prefix)
    listeners = host.get_fact(Listeners, ports=sorted(ports))
    sizes = host.get_fact(Sizes, directory=models)
    foreign = {
        f"{port} ({ports[port]})": str(listener)
        for port, listener in listeners.items()
        if not listener.belongs_to(models.rpartition("/")[0])
    }
    found = problems(mac, needs, sizes, foreign)
    if not found:
        host.noop("this Mac has what the stack needs")
        return
    text = report(f"{host.name} cannot be set up: {count(found)}.", found)
    if not host.state.is_executing:
        # A dry run runs no command: say it here.
        _show(text.splitlines())
    yield StringCommand("printf '%s\\n'", QuoteString(text), ">&2; exit 1")


def _show(lines: Sequence[str]) -> None:
    for line in lines:
        logger.error(line)
