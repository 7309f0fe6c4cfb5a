"""Looks through an answer in passing for the tokens that are told in it.

Runs for each token of each stream, so a piece is only kept until there are some KB of them; then
they are looked through at once. Most of it is looked at no closer than for the names of the
numbers, which a model cannot write into its text: in JSON, its quotation marks are escaped.
"""

import json
from typing import Any, NamedTuple

from proxy.accounting.json_skimmer import Skimmer
from proxy.accounting.tokens import INNER, NAMES, NONE, Tokens, of

LOOK = 4096
"""Bytes between two looks."""
LONGEST = 65536
"""Of an event or an answer that is kept; what is longer is skimmed as it comes."""

_decode = json.JSONDecoder().decode  # json.loads tries several encodings first
_EVENT = b"\ndata:"
_DONE = b"\ndata: [DONE]"


class Told(NamedTuple):
    """What an answer told, and how much of it there was to be told of."""

    tokens: Tokens
    complete: bool
    """Whether each result in it told its own; llama-server tells no others than the first of
    several in the shape of OpenAI."""
    events: int
    """Of a stream: one token each, or more."""
    size: int
    """Bytes."""
    results: int = 1
    """Of a plain answer: how many it says it has."""


class Stream:
    """An event stream. `feed` is the fast path."""

    __slots__ = ("_pieces", "_rest", "_results", "_size", "_skimmer", "_sum", "events", "size")

    def __init__(self) -> None:
        self.events = 0
        """As far as looked through, without `[DONE]`."""
        self.size = 0
        self._pieces: list[bytes] = []
        self._size = 0
        self._rest = b"\n"  # the begun line, behind the end of the one before
        self._skimmer: Skimmer | None = None  # of a begun line that is too long to keep
        self._results: dict[object, Tokens] = {}
        self._sum = NONE

    def feed(self, piece: bytes) -> None:
        """A piece of the body, cut anywhere."""
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > LOOK:
            self.look()

    def look(self) -> int:
        """Looks through what was kept; the events so far."""
        if self._pieces:
            pieces = b"".join(self._pieces)
            self._pieces = []
            self.size += self._size
            self._size = 0
            if self._skimmer is not None:
                end = pieces.find(b"\n")
                if end < 0:
                    self._skimmer.feed(pieces)
                    return self.events
                self._skimmer.feed(pieces[:end], final=True)
                self._skimmed(self._skimmer)
                self._skimmer = None
                self.events += 1
                pieces = pieces[end:]
            block = self._rest + pieces
            end = block.rfind(b"\n")
            if end > 0:
                self._lines(block[: end + 1])
            self._rest = block[end:]
            if len(self._rest) > LONGEST:
                self._skimmer = Skimmer(NAMES, INNER)
                self._skimmer.feed(self._rest)
                self._rest = b"\n"
        return self.events

    def told(self) -> Told:
        """All of it."""
        self.look()
        if self._rest.startswith(_EVENT):  # a last line without an end
            self._lines(self._rest + b"\n")
            self._rest = b"\n"
        results = NONE
        for tokens in self._results.values():
            results += tokens
        tokens = results.most(self._sum)
        return Told(tokens, complete=tokens != NONE, events=self.events, size=self.size)

    def _lines(self, lines: bytes) -> None:
        """Whole lines, with the end of the one before."""
        self.events += lines.count(_EVENT)
        if lines.find(_DONE, -len(_DONE) - 8) >= 0:
            self.events -= 1
        if b'"usage"' in lines or b'"timings"' in lines:
            for line in lines.split(b"\n"):
                if line.startswith(b"data:") and (b'"usage"' in line or b'"timings"' in line):
                    self._event(line[5:])

    def _event(self, text: bytes) -> None:
        document = _read(text)
        if not isinstance(document, dict):
            return
        tokens = of(document)
        choices = document.get("choices")
        if choices == []:  # llama-server sends one for each result, and says not for which
            self._sum += tokens
            return
        index = document.get("index")
        if isinstance(choices, list) and isinstance(choices[0], dict):
            index = choices[0].get("index")
        self._add(index if isinstance(index, int) else None, tokens)

    def _skimmed(self, skimmer: Skimmer) -> None:
        """An event as long as this is the last of a result, and has its whole prompt in it."""
        for found in skimmer.found:
            self._add(object(), of(found))

    def _add(self, result: object, tokens: Tokens) -> None:
        if tokens != NONE:
            self._results[result] = self._results.get(result, NONE).most(tokens)


class Plain:
    """An answer that is one JSON text."""

    __slots__ = ("_pieces", "_skimmer", "events", "size")

    def __init__(self) -> None:
        self.events = 0
        self.size = 0
        self._pieces: list[bytes] = []
        self._skimmer: Skimmer | None = None

    def feed(self, piece: bytes) -> None:
        """A piece of the body, cut anywhere."""
        self.size += len(piece)
        if self._skimmer is not None:
            self._skimmer.feed(piece)
            return
        self._pieces.append(piece)
        if self.size > LONGEST:
            self._skimmer = Skimmer(NAMES)
            self._skimmer.feed(b"".join(self._pieces))
            self._pieces = []

    def look(self) -> int:
        """It has no events."""
        return 0

    def told(self) -> Told:
        """All of it."""
        results, choices = self._results()
        tokens, complete = NONE, bool(results) and choices <= 1
        for result in results:
            told = of(result)
            complete = complete and told != NONE
            tokens += told
        return Told(tokens, complete, 0, self.size, max(choices, 1))

    def _results(self) -> tuple[list[dict[str, Any]], int]:
        if self._skimmer is not None:
            self._skimmer.feed(b"", final=True)
            return self._skimmer.found, self._skimmer.items
        document = _read(b"".join(self._pieces))
        if isinstance(document, list):
            return [item if isinstance(item, dict) else {} for item in document], 0
        if not isinstance(document, dict):
            return [], 0
        choices = document.get("choices")
        return [document], len(choices) if isinstance(choices, list) else 0


def _read(text: bytes) -> object:
    try:
        return _decode(text.decode())
    except (ValueError, RecursionError):
        return None
