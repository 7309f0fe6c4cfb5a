"""`make run`: the stack of one Mac in this terminal."""

import os
import shlex
import sys
from collections.abc import Sequence

from herd.connections.here import is_here
from herd.connections.remote import Remote, only, ssh_command


def run(remotes: Sequence[Remote]) -> None:
    """Run the stack of one Mac in this terminal; Ctrl+C stops both services."""
    remote: Remote = only(remotes)
    command = remote.layout.start_command
    if is_here(remote.host):
        become([command])
    # A terminal even where there is none here: what hangs up there, when the connection ends.
    become([*ssh_command(remote.host, "-tt"), shlex.quote(command)])


def become(command: Sequence[str]) -> None:
    """Become this command, with our terminal."""
    sys.stdout.flush()
    os.execvp(command[0], list(command))
