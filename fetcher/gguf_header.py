"""Where the header of a GGUF file ends: its keys, and the table of its tensors.

ggml/docs/gguf.md has the layout.
"""

import struct

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_DEEPEST = 4
_MOST = 1 << 16
"""Keys, or tensors; llama.cpp's largest models have some thousand."""


class _Short(Exception):
    """The bytes end before the header does."""


def end(data: bytes) -> int | None:
    """The first offset that is no header's, before the alignment of what follows; None where more
    bytes are needed to tell. Raises ValueError for what is no such file."""
    if data[:4] != b"GGUF"[: len(data)]:
        raise ValueError("is no GGUF file")
    walk = _Walk(data)
    try:
        walk.header()
    except _Short:
        return None
    return walk.at


class _Walk:
    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 4

    def header(self) -> None:
        version, tensors, keys = self._take("IQQ")
        if version not in (2, 3) or keys > _MOST or tensors > _MOST:
            raise ValueError("is no GGUF file of version 2 or 3")
        for _ in range(keys):
            self._text()
            (kind,) = self._take("I")
            self._value(kind)
        for _ in range(tensors):
            self._text()
            (dimensions,) = self._take("I")
            self._skip(8 * dimensions + 4 + 8)  # its shape, type and place

    def _value(self, kind: int, depth: int = 0) -> None:
        if kind == _STRING:
            self._text()
        elif kind != _ARRAY:
            self._skip(_size(kind))
        elif depth == _DEEPEST:
            raise ValueError("has arrays of arrays of arrays")
        else:
            inner, count = self._take("IQ")
            if inner not in (_STRING, _ARRAY):
                self._skip(count * _size(inner))
                return
            for _ in range(count):
                self._value(inner, depth + 1)

    def _text(self) -> None:
        (size,) = self._take("Q")
        self._skip(size)

    def _take(self, layout: str) -> tuple[int, ...]:
        start = self.at
        self._skip(struct.calcsize(f"<{layout}"))
        return struct.unpack_from(f"<{layout}", self._data, start)

    def _skip(self, size: int) -> None:
        self.at += size
        if self.at > len(self._data):
            raise _Short


def _size(kind: int) -> int:
    if kind not in _SIZES:
        raise ValueError(f"has a value of the unknown type {kind}")
    return _SIZES[kind]
