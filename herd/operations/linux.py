"""A gateway that is a Linux machine: what is apt's to bring, and services that outlive logins."""

from collections.abc import Iterator, Mapping

from pyinfra import host

from herd.core.linux.machine import problems
from herd.core.mac.job_definitions import jobs_of
from herd.core.mac.layout import Layout
from herd.core.settings.problems import count, report
from herd.facts.gathered import Question
from herd.facts.launchd import Loaded
from herd.facts.linux import Linux
from herd.facts.listeners import Listener, Listeners
from herd.facts.mac import Mac
from herd.facts.script import script
from herd.operations.commands import Commands, operation, refuse, shown
from herd.operations.preflight import foreign_to

PATIENCE = 300
"""Seconds to wait while another apt has its lock, as one that upgrades by itself."""


def _mac(layout: Layout) -> Question:
    settings = layout.settings
    return Question(Mac, root=settings.stack_root, homebrew_prefix=settings.homebrew_prefix)


def _check_asks(layout: Layout, ports: Mapping[int, str], *, uid: int) -> Iterator[Question]:
    yield _mac(layout)
    yield Question(Linux)
    yield Question(Listeners, ports=list(ports))
    for name in jobs_of(layout):
        yield Question(Loaded, target=layout.domain(uid).target(layout.label(name)))


@operation(asks=_check_asks)
def check(layout: Layout, ports: Mapping[int, str], *, uid: int) -> Commands:
    """
    Fail this host, and only this one, with all that keeps it from being a gateway.

    + layout: where the gateway lives, and its settings
    + ports: the ports of it, and the setting that names each
    + uid: whose its services are
    """
    who, machine = _mac(layout).ask(host), host.get_fact(Linux)
    strangers: Mapping[int, Listener] = {}
    if "curl" in machine.there:  # by which it is asked
        strangers = foreign_to(host.get_fact(Listeners, ports=list(ports)), layout, uid)
    holders = {f"{port} ({ports[port]})": str(who) for port, who in strangers.items()}
    found = list(problems(who, machine, serves=layout.settings.serves, foreign=holders))
    if not found:
        host.noop("this machine has what a gateway needs, or gets it")
        return
    refuse(report(f"{host.name} cannot be set up: {count(found)}.", found), found)
    yield from ()


@operation(asks=lambda noted: [Question(Linux)], changes=[Linux, Listeners])
def packages(noted: str) -> Commands:
    """
    Have Debian's packages of HAProxy, and of what makes the proxy's environment.

    + noted: absolute path of the file where those that this installs are noted
    """
    missing = host.get_fact(Linux).missing
    if not missing:
        host.noop("all packages are installed")
        return
    yield script("note-packages", noted, *missing)
    yield shown("apt", PATIENCE, "install", *missing)


@operation(asks=lambda: [Question(Linux)], changes=[Linux])
def lingering() -> Commands:
    """
    Have the user's services outlive his login, and start with the machine.
    """
    if host.get_fact(Linux).lingers:
        host.noop("they do")
        return
    yield script("linger")
