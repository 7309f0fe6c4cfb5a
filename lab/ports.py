"""Blocks of ports for simulated Macs, each of which one lab or test has at a time.

That a port is free says little where several run side by side: whoever else looks sees it free,
too, until somebody listens. So a block belongs to who holds its lock; the system lets go of that
when the last process that has it ends, killed or not.
"""

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

# Below Linux's and macOS's ephemeral ports; one Mac's models can grow into its own block.
FIRST, LAST, SIZE = 20000, 32000, 40


@dataclass(frozen=True)
class Block:
    """The ports from `first` on, SIZE of them; `lock` is ours for as long as it is open."""

    first: int
    lock: IO[str]


def free_blocks() -> Iterator[Block]:
    """Blocks with nobody on a port of theirs, at random."""
    numbers = list(range(FIRST, LAST, SIZE))
    random.shuffle(numbers)
    for first in numbers:
        block = take(first)
        if block and all(map(_is_free, range(first, first + SIZE))):
            yield block


def take(first: int) -> Block | None:
    """The block that begins there, or None if somebody has it."""
    folder = f"{tempfile.gettempdir()}/llama-herd-ports-{os.getuid()}"
    os.makedirs(folder, mode=0o700, exist_ok=True)
    lock = open(f"{folder}/{first}", "w")  # noqa: SIM115 (its reader closes it)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return Block(first, lock)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
