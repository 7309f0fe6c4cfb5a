"""A Mac that goes dark, without power or network, says nothing, so TCP waits for a quarter of an
hour. It is asked over SSH for a sign of life; without one, its connection ends and its run fails.
"""

import time
from typing import Any

import gevent  # type: ignore[import-untyped]
from paramiko import SSHException
from pyinfra import logger
from pyinfra.api import Host

INTERVAL = 10
"""Seconds between two questions."""
PATIENCE = 30
"""Seconds for an answer; sshd gives it even on a Mac that is busy."""

# OpenSSH's own (PROTOCOL, 4.5); whoever does not know it answers, too.
_QUESTION = "keepalive@openssh.com"


def watch(host: Host, transport: Any) -> None:
    """Ask for as long as there is a connection; end it when nothing comes back."""
    while transport.is_active():
        gevent.sleep(INTERVAL)
        asked = time.monotonic()
        try:
            with gevent.Timeout(PATIENCE):
                transport.global_request(_QUESTION, wait=True)
        except gevent.Timeout:
            if transport.is_active():
                silent = round(time.monotonic() - asked)
                logger.error(
                    f"{host.print_prefix}It gives no sign of life for {silent} s, as without power "
                    "or network: its connection is given up. What it was told may go on there."
                )
                transport.close()
        except (SSHException, EOFError, OSError):
            return
