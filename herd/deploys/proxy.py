"""The auth proxy: its code, its environment, its keys, its certificate."""

from pyinfra.api import HiddenValue, deploy

from herd.deploys.desired import desired
from herd.operations import files, proxy


@deploy("Proxy")
def install() -> None:
    """A new release stands beside the old until the services are switched over.

    Keys and certificate are read again by the proxy that runs: they restart nothing.
    """
    want = desired()
    layout = want.layout
    proxy.installed(name="Install the proxy", layout=layout, bundle=want.bundle)
    files.secret(name="Write the API keys", path=layout.keys, content=HiddenValue(want.keys.text))
    proxy.certificate(
        name="Write the certificate",
        layout=layout,
        pair=HiddenValue(want.certificate),
        uid=want.uid,
    )
