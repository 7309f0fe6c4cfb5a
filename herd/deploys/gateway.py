"""A gateway of the herd: HAProxy before all Macs, and an auth proxy before HAProxy."""

from pyinfra.api import HiddenValue

from herd.core.mac.job_definitions import GATEWAY, GATEWAY_JOBS, GATEWAY_PROXY
from herd.deploys.desired import desired
from herd.deploys.step import step
from herd.operations import files, gateway, stack


@step("Gateway's key")
def key() -> None:
    """Before the proxies, which learn by its hash whom they may believe."""
    want = desired()
    if want.layout.gateway:
        gateway.key(name="Have a key that the Macs know", layout=want.layout)


@step("Gateway")
def run() -> None:
    """After the services, as this host may be one of the Macs, too."""
    want = desired()
    layout, bundle, uid = want.layout, want.bundle, want.uid
    if layout.gateway is None or want.settings.launchd_autostart == "terminal":
        return
    gateway.configured(
        name="Write HAProxy's configuration",
        layout=layout,
        bundle=bundle,
        uid=uid,
        authorities=want.authorities,
    )
    gateway.others(
        name="Know the other gateways",
        layout=layout,
        gateways=layout.gateway.others,
        key_of=lambda name: desired(name).layout.gateway_key,
    )
    files.private(name="Keep its logs private", paths=[layout.log(job) for job in GATEWAY_JOBS])
    stack.job(name="Run HAProxy", layout=layout, bundle=bundle, job_name=GATEWAY, uid=uid)
    stack.job(
        name="Run the proxy before it",
        layout=layout,
        bundle=bundle,
        job_name=GATEWAY_PROXY,
        uid=uid,
    )
    if want.settings.launchd_autostart == "background":
        gateway.serving(
            name="Wait until the gateway serves",
            layout=layout,
            held=HiddenValue(want.keys.held()),
        )
