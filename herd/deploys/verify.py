"""Proves that the stack serves, and at the end tells how to use it."""

from pyinfra import host
from pyinfra.api import HiddenValue

from herd import plan
from herd.deploys.desired import desired
from herd.deploys.step import step
from herd.operations import deploy_record, serving, summary
from herd.workstation import certificate_files


@step("Verify")
def serves() -> None:
    """Where autostart is off, nothing need run."""
    want = desired()
    if want.settings.launchd_autostart == "off" or not want.settings.serves:
        serving.let_in(name="Take requests", layout=want.layout)
    else:
        held = HiddenValue(want.keys.held())
        serving.serves(
            name="Wait until the stack serves",
            layout=want.layout,
            held=held,
            pin=certificate_files.pin(want.certificate.shown if want.certificate else None),
            models=want.models,
            prove=bool(want.settings.releases) or want.settings.homebrew_upgrade,
        )


@step("Verify")
def tell() -> None:
    """At the end, as it says what was changed."""
    want = desired()
    deploy_record.noted(
        name="Note what was deployed",
        layout=want.layout,
        bundle=want.bundle,
        models=want.models,
        who=want.who,
    )
    summary.show(
        name="Summary",
        layout=want.layout,
        address=plan.address(host),
        models=want.models,
        keys=want.keys.names,
    )
