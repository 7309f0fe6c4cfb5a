"""Reads a few values of a JSON text that may be too long to keep, in passing. Pure.

For an answer of many MB (embeddings, `n_probs`) whose numbers may stand anywhere. Only brackets and
strings are looked at, so what a model wrote into a string, or deeper down, is never taken for a
name. It is no parser: what is no JSON gives something or nothing, and raises nothing.
"""

import json
import re
from contextlib import suppress
from typing import Any

LONGEST = 4096  # of a value that is kept
_NEAR = 64  # bytes at the end of a piece that are looked at with the next one

_TOKEN = re.compile(rb'"((?:[^"\\]++|\\.)*+)("(\s*:)?)?|[{}\[\]]', re.DOTALL)
_REST = re.compile(rb"(?:[^\"\\]++|\\.)*+", re.DOTALL)  # of a string
_OPEN = frozenset(b"{[")


class Skimmer:
    """Collects the objects and arrays called `names` that are right inside the text's object, or
    inside one of those called `inner` in it."""

    __slots__ = (
        "_carry", "_depth", "_from", "_in_string", "_inner", "_kept", "_key", "_names", "_top",
        "_within", "found", "items",
    )  # fmt: skip

    def __init__(
        self, names: frozenset[bytes], inner: frozenset[bytes] = frozenset()
    ) -> None:  # fmt: skip
        self.found: list[dict[str, Any]] = []
        """One for each object: of the text itself, or of the array that it is."""
        self.items = 0
        """How many objects there are in the array `choices`."""
        self._names = names
        self._inner = inner
        self._within = 0  # how deep inside of inner objects
        self._carry = b""
        self._depth = 0
        self._top = 1  # the depth inside of such an object
        self._in_string = False
        self._key = b""  # the last name at that depth
        self._from = -1  # where in this piece the value to keep goes on; -1: none is kept
        self._kept = b""

    def feed(self, data: bytes, *, final: bool = False) -> None:
        """A piece of the text, cut anywhere."""
        block, at = self._carry + data, 0
        self._carry = b""
        if self._from > 0:
            self._from = 0
        if self._in_string:
            rest = _REST.match(block)
            at = rest.end() if rest else 0
            if at >= len(block) or block[at] != ord('"'):
                self._keep(block[:at])
                self._carry = block[at:]
                return
            self._in_string = False
            at += 1
        stop = len(block) if final else max(at, len(block) - _NEAR)
        end = len(block)
        for token in _TOKEN.finditer(block, at):
            start = token.start()
            if start >= stop:
                end = start
                break
            if token[1] is None:
                self._bracket(block, start)
            elif token[2] is None:  # it goes on in the next piece
                self._in_string = True
                end = token.end()
                break
            elif token[3] is not None and self._depth == self._top:
                self._key = token[1] if b"\\" not in token[1] else _plain(token[1])
            at = token.end()
        else:
            end = max(stop, at)  # a string may reach into what is looked at later
        self._keep(block[:end])
        self._carry = block[end:]

    def _bracket(self, block: bytes, at: int) -> None:
        opens = block[at] in _OPEN
        if opens:
            if self._depth == 0:
                self._top = 1 if block[at] == ord("{") else 2
            elif self._depth == self._top and self._key in self._names:
                self._from, self._kept = at, b""
            elif self._depth == self._top + 1 and self._key == b"choices":
                self.items += 1
            elif self._depth == self._top and self._key in self._inner:
                self._top += 1
                self._within += 1
                self._depth += 1
                self._key = b""
                return
            self._depth += 1
            if self._depth == self._top:
                self._key = b""
                self.found.append({})
            return
        self._depth -= 1
        if self._from >= 0 and self._depth == self._top:
            text, self._kept = self._kept + block[self._from : at + 1], b""
            self._from = -1
            self._take(text)
        elif self._within and self._depth == self._top - 1:
            self._top -= 1
            self._within -= 1

    def _keep(self, block: bytes) -> None:
        """What was seen of a value that is not over yet."""
        if self._from >= 0 and len(self._kept) <= LONGEST:
            self._kept += block[self._from :]
            self._from = 0

    def _take(self, text: bytes) -> None:
        """None for what is too long, or no JSON."""
        value = None
        with suppress(ValueError, RecursionError):
            value = json.loads(text) if len(text) <= LONGEST else None
        if self.found:
            self.found[-1][self._key.decode()] = value


def _plain(name: bytes) -> bytes:
    """A name that has escapes in it."""
    try:
        return str(json.loads(b'"' + name + b'"')).encode()
    except (ValueError, RecursionError):
        return b""
