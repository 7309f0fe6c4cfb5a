"""The models' files."""

from pyinfra import host
from pyinfra.api import HiddenValue

from herd import plan
from herd.deploys.desired import desired
from herd.deploys.preflight import needs
from herd.deploys.step import step
from herd.operations import memory, models, sharing


@step("Models")
def fit() -> None:
    """Once llama.cpp is there, it tells from their headers whether they fit; only then comes what
    is large."""
    want = desired()
    if want.settings.serves and want.settings.preflight_fit != "off":
        memory.fits(
            name="Ask llama.cpp what the models take of memory",
            layout=want.layout,
            needs=needs(want),
            models=want.models,
            bundle=want.bundle,
        )


@step("Models")
def fetch() -> None:
    """Whole files are adopted by their checksum, unfinished ones resumed; what another Mac of the
    site has or fetches comes from there. It runs in the proxy's environment."""
    want = desired()
    if not want.settings.serves:
        return
    shared, present = plan.of_this_run().sharing, [other.name for other in host.state.active_hosts]
    if site := shared.site(host.name, present):
        sharing.opened(
            name="Let the Macs of this site fetch from here",
            layout=want.layout,
            bundle=want.bundle,
            uid=want.uid,
            key=HiddenValue(shared.key),
            site=site,
            directory_of=lambda name: desired(name).layout.models,
        )
    models.fetched(
        name="Fetch the models' files",
        models=want.models,
        layout=want.layout,
        bundle=want.bundle,
        peers=HiddenValue(shared.peers(host.name, present)),
    )


@step("Models")
def prune() -> None:
    """Once nothing serves them any more."""
    want = desired()
    models.only(
        name="Remove models that are not declared",
        models=want.models,
        directory=want.layout.models,
        prune=want.settings.models_prune,
    )
