"""The daemon's private channel: one JSON request, one JSON answer, over loopback TCP.

A random token in a file of mode 0600 keeps other users out.  (A Unix socket would need no
token, but its path may hold only 104 characters, and test folders are longer.)
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

STATE = "daemon.json"


def write_state(directory: Path, state: dict[str, Any]) -> None:
    """Publish how to reach the daemon; its appearance means that everything is ready."""
    draft = directory / f".{STATE}"
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(state, file)
    draft.replace(directory / STATE)


def read_state(directory: Path) -> dict[str, Any]:
    """How to reach the daemon; raises FileNotFoundError while there is none."""
    state: dict[str, Any] = json.loads((directory / STATE).read_text())
    return state


def request(directory: Path, mac: str, op: str, **arguments: Any) -> Any:
    """Ask the daemon; raises OSError when it is gone, RuntimeError when it refuses."""
    state = read_state(directory)
    message = {"token": state["token"], "mac": mac, "op": op, "arguments": arguments}
    with socket.create_connection(("127.0.0.1", state["port"])) as connection:
        connection.sendall(json.dumps(message).encode() + b"\n")
        with connection.makefile("rb") as stream:
            line = stream.readline()
    if not line:
        raise ConnectionError("the lab's daemon went away")
    answer = json.loads(line)
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer["result"]
