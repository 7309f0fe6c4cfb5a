"""Verified models for the other Macs of a site: the proxy serves them to who has this run's key."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand
from pyinfra.facts.files import FileContents

from herd.core.mac.archives import Bundle
from herd.core.mac.endpoints import local_proxy
from herd.core.mac.job_definitions import PROXY
from herd.core.mac.layout import Layout
from herd.core.models.fetch_request import LIFE, grant
from herd.core.models.missing_files import Resolved
from herd.operations.commands import Commands, operation
from herd.operations.files import write
from herd.operations.models import any_lacking
from herd.operations.stack import keep_job, strays_of


@operation()
def opened(
    layout: Layout,
    bundle: Bundle,
    *,
    uid: int,
    key: Any,
    site: Mapping[str, Sequence[Resolved]],
    directory_of: Callable[[str], str],
) -> Commands:
    """
    While a Mac of the site lacks files: let those with this run's key read what is verified here.

    + layout: where the stack lives, and its settings
    + bundle: the proxy's code
    + uid: whose job the proxy is
    + key: this run's, in a HiddenValue; its hash goes to the Mac, and counts for a day
    + site: the models of each Mac that shares with this one, by name
    + directory_of: the directory of all models on one of them
    """
    failed = {other.name for other in host.state.failed_hosts}
    others = {name: models for name, models in site.items() if name not in failed}
    if not any_lacking(others, directory_of):
        host.noop("no Mac of this site lacks files")
        return
    now = datetime.now(UTC)
    # Another run may be under way, and its Macs ask with its key.
    earlier = "\n".join(host.get_fact(FileContents, path=layout.peers) or [])
    yield from write(layout.peers, grant(key.unmask(), now + LIFE, now, earlier), "600")
    # The services come after the models; but who fetches wants somebody to ask.
    if layout.settings.launchd_autostart != "background":
        return
    if strays_of(layout, bundle, uid):
        host.log("it serves no files to other Macs before the stack runs under launchd")
        return
    yield from keep_job(layout, bundle, PROXY, uid)
    # Who asks before it listens takes it for a Mac that is not there. If it never does, so be it.
    yield StringCommand(
        "curl -sk -o /dev/null --max-time 5 --retry 15 --retry-delay 1 --retry-connrefused",
        QuoteString(f"{local_proxy(layout.settings)}/healthz"),
        "|| :",
    )
