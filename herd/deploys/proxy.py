"""The auth proxy: its code, its environment, its keys, its certificate."""

from pyinfra.api import HiddenValue

from herd.deploys.desired import desired
from herd.deploys.step import step
from herd.operations import gateway, proxy


@step("Proxy")
def install() -> None:
    """A new release stands beside the old until the services are switched over.

    Keys and certificate are read again by the proxy that runs: they restart nothing.
    """
    want = desired()
    layout = want.layout
    proxy.installed(name="Install the proxy", layout=layout, bundle=want.bundle)
    proxy.keys(name="Write the API keys", layout=layout, shipped=HiddenValue(want.keys))
    gateway.known(
        name="Know the gateways",
        layout=layout,
        gateways=want.gateways if want.settings.serves else [],
        key_of=lambda name: desired(name).layout.gateway_key,
    )
    proxy.certificate(
        name="Write the certificate",
        layout=layout,
        pair=HiddenValue(want.certificate),
        uid=want.uid,
    )
