"""Pull mode: a Mac of the inventory that deploys to itself, without SSH.

It keeps its name, groups and data, so that what is written there is what a push would write.
"""

import os

from pyinfra.api import Host, Inventory
from pyinfra.api.connectors import get_execution_connector

HERE = "HERD_HERE"
"""In the environment of a run: the name of the host that this machine is."""


def take(inventory: Inventory) -> None:
    """Have the host that we are connected to as what it is; before pyinfra makes connectors."""
    name = os.environ.get(HERE)
    for host in inventory:
        if host.name == name:
            host.connector_cls = get_execution_connector("local")


def is_here(host: Host) -> bool:
    """Whether a host is this machine."""
    return host.name.startswith("@local") or host.name == os.environ.get(HERE)
