"""The auth proxy: its code, its environment, its keys."""

from pyinfra.api import HiddenValue, deploy

from herd import keys
from herd.deploys.desired import desired
from herd.operations import files, proxy


@deploy("Proxy")
def install() -> None:
    """A new release stands beside the old until the services are switched over."""
    want = desired()
    proxy.installed(name="Install the proxy", layout=want.layout, bundle=want.bundle)
    files.secret(
        name="Write the API keys",
        path=want.layout.keys,
        content=HiddenValue(keys.document(want.keys.unmask())),
    )
