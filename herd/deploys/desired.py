"""What is wanted of the host at hand, with its paths: the same in every step of a run."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pyinfra import host, logger
from pyinfra.api import Host
from pyinfra.api.exceptions import PyinfraError

from herd import plan
from herd.core.mac.archives import Bundle, bundle
from herd.core.mac.layout import Layout
from herd.core.mac.mac import Identity
from herd.core.mac.startup_files import silent
from herd.core.mac.volumes import removable
from herd.core.models.memory_estimate import Served
from herd.core.models.missing_files import Resolved
from herd.core.settings.schema import Settings
from herd.facts import gathered
from herd.facts.gathered import Question
from herd.facts.mac import Mac
from herd.workstation import who_deploys
from herd.workstation.api_keys import Shipped
from herd.workstation.certificate_files import Pair
from herd.workstation.who_deploys import WhoDeploys


@dataclass(frozen=True)
class Desired:
    """One host: its settings, its paths, its models' files and sets, what its proxy gets; which of
    its directories are on volumes that launchd's jobs may not read; and who deploys."""

    settings: Settings
    layout: Layout
    uid: int
    models: list[Resolved]
    keys: Shipped
    certificate: Pair | None
    bundle: Bundle
    together: list[tuple[Served, ...]]
    removable: list[str]
    who: WhoDeploys
    gateways: list[str]
    """Names of the herd's, whose requests this host takes."""
    authorities: str | None
    """Of a gateway: who may vouch for the Macs, in PEM."""


def desired(name: str | None = None) -> Desired:
    """Of the current host, or another of the run. A Mac is asked once: a home directory does not
    change in a run."""
    return _desired(host.inventory.get_host(name or host.name))


@cache
def _desired(current: Host) -> Desired:
    run = plan.of_this_run()
    settings = run.settings[current.name]
    mac = mac_of(current, settings)
    home, uid, user = (mac.home, mac.uid, mac.user) if mac else ("/nowhere", -1, "nobody")
    system = mac.system if mac else "Darwin"
    return Desired(
        settings=settings,
        layout=Layout(
            *(settings, home, user), gateway=run.gateways.get(current.name), system=system
        ),
        uid=uid,
        models=run.models[current.name],
        keys=run.keys[current.name],
        certificate=run.certificates[current.name],
        bundle=bundle(),
        together=run.together[current.name],
        removable=removable(mac.places) if mac else [],
        who=who_deploys.here(Path(current.state.cwd or ".")),
        gateways=list(run.gateways),
        authorities=run.authorities.get(current.name),
    )


def mac_of(current: Host, settings: Settings) -> Identity | None:
    """What a host says that it is; None when it does not, and then it drops out."""
    who = Question(Mac, root=settings.stack_root, homebrew_prefix=settings.homebrew_prefix)
    gathered.of(current).plan([who])
    # A Mac that fails to answer drops out here, and nothing is run on it; but an exception in
    # deploy code would end the run for all hosts.
    mac: Identity | None = None
    try:
        mac = who.ask(current)
        if mac is None and current not in current.state.failed_hosts:
            logger.error(f"{current.print_prefix}It {silent(gathered.of(current).noise)}.")
            current.state.fail_hosts({current})
    except PyinfraError:  # as --fail-percent wants it
        if current.state.active_hosts:
            raise
    return mac
