"""The steps of uninstall.py: they want a host's settings, and neither keys nor models.lock."""

from dataclasses import dataclass
from functools import cache

from pyinfra import host
from pyinfra.api import Host

from herd import plan
from herd.core.mac.layout import Layout
from herd.deploys.desired import mac_of
from herd.deploys.step import step
from herd.operations import mac as restore
from herd.operations import uninstall

MODELS, PACKAGES = "uninstall_models", "uninstall_packages"
"""Of --data: what goes, too, when that is True."""


@dataclass(frozen=True)
class _There:
    layout: Layout
    uid: int


@cache
def _there(current: Host) -> _There:
    settings = plan.settings_of(current.inventory)[current.name]
    mac = mac_of(current, settings)
    home, uid, system = (mac.home, mac.uid, mac.system) if mac else ("/nowhere", -1, "Darwin")
    return _There(Layout(settings, home, system=system), uid)


def _this() -> _There:
    return _there(host.inventory.get_host(host.name))


@step("Services")
def services() -> None:
    """First, as they use all else."""
    this, name = _this(), host.name
    uninstall.pulls(
        name="End what would deploy it again", layout=this.layout, uid=this.uid, of=name
    )
    uninstall.jobs(name="End and remove the jobs", layout=this.layout, uid=this.uid)
    uninstall.processes(name="Stop what runs outside launchd", layout=this.layout)


@step("Mac")
def mac() -> None:
    """As it was before any deploy changed it."""
    restore.restored(name="Put the Mac's settings back", layout=_this().layout)


@step("Files")
def files() -> None:
    """What is not ours is not touched."""
    uninstall.files(name="Remove the stack's files", layout=_this().layout)


@step("Models")
def models() -> None:
    """They are large, and slow to fetch again."""
    remove = host.data.get(MODELS, False) is True
    uninstall.models(name="Remove the models", layout=_this().layout, remove=remove)


@step("Packages")
def packages() -> None:
    """Others may use them by now."""
    remove = host.data.get(PACKAGES, False) is True
    uninstall.packages(name="Uninstall the packages", layout=_this().layout, remove=remove)


@step("Summary")
def leave() -> None:
    """And who wonders what is left is told."""
    layout = _this().layout
    uninstall.directories(name="Remove empty directories", layout=layout)
    uninstall.stays(name="What stays", layout=layout)
