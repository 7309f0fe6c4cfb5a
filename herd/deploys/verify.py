"""Proves that the stack serves, and tells how to use it."""

from pyinfra import host
from pyinfra.api import deploy

from herd import plan
from herd.deploys.desired import desired
from herd.operations import stack, summary


@deploy("Verify")
def serves() -> None:
    """Where autostart is off, nothing need run."""
    want = desired()
    if want.settings.launchd_autostart != "off":
        stack.serving(name="Wait until the stack serves", layout=want.layout, keys=want.keys)
    summary.show(
        name="Summary",
        layout=want.layout,
        address=plan.address(host),
        models=want.models,
    )
