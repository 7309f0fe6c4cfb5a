"""Who deploys, from where, and of which revisions: for the record that stays on a Mac."""

import getpass
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from herd.workstation import toolkit


@dataclass(frozen=True)
class WhoDeploys:
    """`by` is a user and a workstation ("anna@desk"), `toolkit` and `herd` are revisions of git, ""
    where there is none."""

    by: str
    toolkit: str
    herd: str


@cache
def here(directory: Path) -> WhoDeploys:
    """Of this workstation, with the herd of the inventory in a directory."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # an account without a name, as in a container
        user = "somebody"
    return WhoDeploys(
        f"{user}@{socket.gethostname()}", toolkit.revision(), toolkit.state_of(directory)
    )
