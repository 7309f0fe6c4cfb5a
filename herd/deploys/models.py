"""The models' files."""

from pyinfra.api import deploy

from herd.deploys.desired import desired
from herd.operations import models


@deploy("Models")
def fetch() -> None:
    """Whole files are adopted by their checksum, unfinished ones resumed."""
    want = desired()
    models.fetched(
        name="Fetch the models' files",
        models=want.models,
        directory=want.layout.models,
        homebrew=want.settings.homebrew_prefix,
        connections=want.settings.models_connections,
    )


@deploy("Models")
def prune() -> None:
    """Once nothing serves them any more."""
    want = desired()
    models.only(
        name="Remove models that are not declared",
        models=want.models,
        directory=want.layout.models,
        prune=want.settings.models_prune,
    )
