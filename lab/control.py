"""The daemon's private channel: one request, one answer, over loopback TCP, as marshal has them.

A random token in a file of mode 0600 keeps other users out; before it nothing is unmarshalled. (A
Unix socket would need no token, but its path may hold only 104 characters, and test folders are
longer.) Like lab.mac this is imported by stand-ins, for which json and socket take too long.
"""

from __future__ import annotations

import _socket
import marshal
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

STATE = "daemon.state"


def write_state(directory: Path, state: dict[str, Any]) -> None:
    """Publish how to reach the daemon; its appearance means that everything is ready."""
    draft = directory / f".{STATE}"
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        marshal.dump(state, file)
    draft.replace(directory / STATE)


def read_state(directory: Path | str) -> dict[str, Any]:
    """How to reach the daemon; raises FileNotFoundError while there is none."""
    with open(f"{directory}/{STATE}", "rb") as file:
        state: dict[str, Any] = marshal.load(file)
    return state


def request(directory: Path | str, mac: str, op: str, **arguments: Any) -> Any:
    """Ask the daemon; raises OSError when it is gone, RuntimeError when it refuses."""
    state = read_state(directory)
    connection = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    try:
        connection.connect(("127.0.0.1", state["port"]))
        question = marshal.dumps({"mac": mac, "op": op, "arguments": arguments})
        connection.sendall(state["token"].encode() + b"\n" + question)
        connection.shutdown(_socket.SHUT_WR)
        answered = b""
        while part := connection.recv(1 << 16):
            answered += part
    finally:
        connection.close()
    if not answered:
        raise ConnectionError("the lab's daemon went away")
    answer = marshal.loads(answered)
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer["result"]
