"""Asks the proxy that runs on this machine, by its socket for commands (`control`)."""

import json
import socket
from pathlib import Path
from typing import Any


class NotThere(Exception):
    """No proxy listens."""


def beside(path: Path) -> Path:
    """The socket that goes with a file."""
    return path.with_suffix(".sock")


def ask(path: Path, question: str, seconds: float) -> dict[str, Any]:
    """What a running proxy answers; NotThere if there is none, OSError if it does not answer."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(seconds)
        try:
            asking.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            raise NotThere from None
        asking.sendall(question.encode() + b"\n")
        with asking.makefile("rb") as answer:
            line = answer.readline()
    if not line.endswith(b"\n"):
        raise NotThere  # it ended just now
    found: dict[str, Any] = json.loads(line)
    return found
