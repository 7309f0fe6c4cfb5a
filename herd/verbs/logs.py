"""`make logs`: the last lines of the services' logs, or all to come."""

from collections.abc import Sequence

from pyinfra.api import QuoteString, StringCommand

from herd.connections.remote import Remote, each, only
from herd.core.mac.job_definitions import JOBS


def logs(remotes: Sequence[Remote], job: str | None, lines: int, follow: bool) -> bool:
    """The last lines of the logs."""
    if follow and len(remotes) > 1:
        only(remotes)

    def show(remote: Remote) -> bool:
        files = [QuoteString(remote.layout.log(name)) for name in JOBS if job in (None, name)]
        flag = "-F" if follow else ""
        return remote.follow(StringCommand("tail", "-n", str(lines), flag, *files))

    return each(remotes, show)
