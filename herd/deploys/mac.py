"""The Mac itself: that it stays awake, starts again, and lets clients in. None is let be."""

from herd.core.mac import managed
from herd.deploys.desired import desired
from herd.deploys.step import step
from herd.operations import mac


@step("Mac")
def keep() -> None:
    """After the proxy, whose program the firewall is told; before models, which it must not sleep
    through, and before what reads the GPU's limit at its start."""
    want = desired()
    layout = want.layout
    if layout.is_linux:
        return
    asked = managed.asked(layout)
    kinds = managed.in_use(want.settings)
    if managed.POWER in kinds:
        mac.kept(name="Keep when the Mac sleeps", layout=layout, kind=managed.POWER, asked=asked)
    if managed.UPDATES in kinds:
        mac.kept(name="Keep what macOS updates", layout=layout, kind=managed.UPDATES, asked=asked)
    if managed.FIREWALL in kinds:
        kind = managed.FIREWALL
        mac.kept(name="Keep the proxy's way in", layout=layout, kind=kind, asked=asked)
    if managed.WIRED in kinds:
        mac.wired_limit(name="Keep what the GPU may wire", layout=layout, asked=asked)
    if managed.NETWORKS in kinds:
        mac.networks(name="Keep who reaches the proxy", layout=layout, asked=asked)
