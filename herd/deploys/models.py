"""The models' files."""

from pyinfra.api import deploy

from herd.deploys.desired import desired
from herd.operations import models


@deploy("Models")
def fetch() -> None:
    """Whole files are adopted, unfinished ones resumed."""
    want = desired()
    models.fetched(name="Fetch the models' files", models=want.models, directory=want.layout.models)
