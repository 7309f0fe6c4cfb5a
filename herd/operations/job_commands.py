"""Commands that load, start and end a job: of launchd, and on Linux of the user's systemd."""

from pyinfra.api import QuoteString, StringCommand

from herd.core.mac.domains import Domain
from herd.facts.script import script


def load(domain: Domain, label: str) -> StringCommand:
    """Has its definition read; what runs at load is started then, or by `start`."""
    if domain.is_systemd:
        return script("unit-load", _unit(domain, label), domain.plist(label))
    return script("job-load", domain.name, label, domain.plist(label))


def start(domain: Domain, label: str, log: str) -> StringCommand:
    """Starts a loaded one and waits until it has a process; if it gets none, the end of its log is
    shown."""
    if domain.is_systemd:
        return script("unit-start", _unit(domain, label), log)
    return script("job-start", domain.target(label), log)


def end(domain: Domain, label: str, seconds: int) -> StringCommand:
    """Ends it and waits, so many seconds, until it is gone; it comes again with the domain."""
    if domain.is_systemd:
        return script("unit-stop", _unit(domain, label))
    return script("job-unload", domain.target(label), seconds)


def forget(domain: Domain, label: str) -> StringCommand:
    """Removes the definition of one of the user's that is ended."""
    if domain.is_systemd:
        return script("unit-remove", _unit(domain, label), domain.plist(label))
    return StringCommand("rm -f", QuoteString(domain.plist(label)))


def _unit(domain: Domain, label: str) -> str:
    return domain.target(label).partition("/")[2]
