"""pyinfra runs this file first: what holds for every deploy; verbs connect by herd/connections."""

import click
from pyinfra import config, state

from herd.connections import hooks

config.REQUIRE_PYINFRA_VERSION = ">=3.10,<3.11"

# Ad-hoc commands (`pyinfra inventory.py exec -- uptime`) need no settings, so none are checked.
_given = click.get_current_context().params
_files = [name for name in _given["operations"] if name.endswith(".py")]
hooks.install(
    state,
    check=bool(_files),
    whole=not all(name.endswith("uninstall.py") for name in _files),
    inventory=_given["inventory"],
    dry=_given["dry"],
    fail_percent=_given["fail_percent"],
)
