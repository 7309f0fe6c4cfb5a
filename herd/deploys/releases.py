"""Back to the releases that ran before the last switch."""

from herd.deploys.desired import desired
from herd.deploys.step import step
from herd.operations import releases


@step("Rollback")
def roll_back() -> None:
    """Only what is pinned; everything else is as the inventory has it now. The other steps do what
    follows from it."""
    releases.rolled_back(name="Hold the releases before", layout=desired().layout)
