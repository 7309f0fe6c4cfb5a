"""`make pin`: an exact release, in a line to declare."""

import sys

from herd.connections.remote import RemoteError
from herd.core.text.harmless import harmless
from herd.workstation import github_releases


def pin(software: str, tag: str | None) -> None:
    """Print the setting that pins a release of llama.cpp or llama-swap, the newest without a
    tag."""
    try:
        release = github_releases.look(software, tag)
    except ValueError as error:
        raise RemoteError(str(error)) from None
    print(harmless(github_releases.as_setting(software, release), keep="\n"))
    print(
        "It goes to group_data/all.py, to a group's file there, or as an entry to a host.",
        file=sys.stderr,
    )
