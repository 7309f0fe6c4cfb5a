"""What of a body waits to go up: in blocks, as to join or to free 32 MiB at once, or millions of
small pieces, takes tens of milliseconds. Pure."""

from collections import deque

BLOCK = 16384
"""Bytes from which on a block is not added to."""


class BodyQueue:
    """Bytes, of which the first come out first."""

    __slots__ = ("_blocks", "_size")

    def __init__(self) -> None:
        self._blocks: deque[bytearray] = deque()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, data: bytes) -> None:
        """More of them, at the end."""
        if not self._blocks or len(self._blocks[-1]) >= BLOCK:
            self._blocks.append(bytearray())
        self._blocks[-1] += data
        self._size += len(data)

    def add_before(self, data: bytes) -> None:
        """Something that goes up before all else."""
        self._blocks.appendleft(bytearray(data))
        self._size += len(data)

    def take(self, most: int) -> bytes:
        """The first so many, or all that there are."""
        taken = bytearray()
        while self._blocks and len(taken) < most:
            block = self._blocks[0]
            left = most - len(taken)
            taken += block[:left]
            if len(block) > left:
                del block[:left]
            else:
                self._blocks.popleft()
        self._size -= len(taken)
        return bytes(taken)
