"""Refuses a Mac that cannot become what is wanted."""

from herd.core.mac import managed, sudo_rules, wired_limit
from herd.core.mac.preflight import Fetch, Needs
from herd.core.settings.schema import Settings
from herd.core.text.units import GIB
from herd.deploys.desired import Desired, desired
from herd.deploys.packages import formulae_of
from herd.deploys.step import step
from herd.operations import linux, preflight


def needs(want: Desired) -> Needs:
    """What the stack asks of the host at hand."""
    settings = want.settings
    return Needs(
        models=[Fetch(model.name, model.in_memory) for model in want.models],
        memory_reserve=settings.preflight_memory_reserve_gb * GIB,
        disk_reserve=settings.preflight_disk_reserve_gb * GIB,
        console=settings.launchd_autostart != "off" and not want.layout.is_daemon,
        daemon=want.layout.is_daemon,
        together=want.together,
        fit=settings.preflight_fit if settings.serves else "off",
        formulae=[name.rpartition("/")[2] for name in formulae_of(want.layout)],
        homebrew_prefix=settings.homebrew_prefix,
        upgrade=settings.homebrew_upgrade,
        pinned_server="llama.cpp" in settings.releases,
        root=sudo_rules.commands(want.layout),
        wired_limit=wired_limit.bytes_of(settings),
        removable=want.removable if _in_session(settings) else (),
    )


@step("Preflight")
def check() -> None:
    """Comes first: a host with problems drops out unchanged, and the others go on."""
    want = desired()
    layout = want.layout
    if layout.is_linux:
        linux.check(
            name="Check that this machine can be a gateway",
            layout=layout,
            ports=layout.ports,
            uid=want.uid,
        )
        return
    preflight.check(
        name="Check that this Mac can serve the models",
        layout=layout,
        models=want.models,
        uid=want.uid,
        needs=needs(want),
        asked=managed.asked(layout),
        ports=layout.ports,
    )


def _in_session(settings: Settings) -> bool:
    """Whether launchd runs the stack in the session at the screen."""
    return settings.launchd_autostart == "background" and settings.launchd_domain == "agent"
