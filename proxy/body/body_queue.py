"""What of a body waits to go up: in blocks, as to join or to free 32 MiB at once, or millions of
small pieces, takes tens of milliseconds. Pure."""

from collections import deque

BLOCK = 16384
"""Bytes from which on a block is not added to."""


class BodyQueue:
    """Bytes, of which the first come out first."""

    __slots__ = ("_blocks", "size")

    def __init__(self) -> None:
        self._blocks: deque[bytearray] = deque()
        self.size = 0

    def add(self, data: bytes) -> None:
        """More of them, at the end."""
        if not self._blocks or len(self._blocks[-1]) >= BLOCK:
            self._blocks.append(bytearray())
        self._blocks[-1] += data
        self.size += len(data)

    def clear(self) -> None:
        """They go up nowhere."""
        self._blocks.clear()
        self.size = 0

    def add_before(self, data: bytes) -> None:
        """Something that goes up before all else."""
        self._blocks.appendleft(bytearray(data))
        self.size += len(data)

    def take(self, most: int) -> bytes:
        """The first so many, or all that there are."""
        if len(self._blocks) == 1 and self.size <= most:  # mostly it is little
            self.size = 0
            return bytes(self._blocks.popleft())
        taken = bytearray()
        while self._blocks and len(taken) < most:
            block = self._blocks[0]
            left = most - len(taken)
            taken += block[:left]
            if len(block) > left:
                del block[:left]
            else:
                self._blocks.popleft()
        self.size -= len(taken)
        return bytes(taken)
