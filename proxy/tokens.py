"""Tokens of an answer, read in passing from the `usage` and `timings` that llama-server sends.

Runs for each token of each stream, so a piece is only kept until there are some KB of them; then
they are looked through at once, and all but the end is dropped. Nothing is decoded before the
answer is over, when the numbers stand near its end (chat, responses, messages) or its beginning
(embeddings; the first event of messages). Text that a model wrote cannot pass for them: in JSON,
its quotation marks are escaped.
"""

import json
import re
from typing import Any, NamedTuple

HEAD = 1024
TAIL = 4096

_EVENT = b"\ndata:"
_NAMES = (b'"usage"', b'"timings"')
_OBJECT = re.compile(rb"\s*:\s*(?=\{)")
_LONGEST = 1500
_DECODER = json.JSONDecoder()

# OpenAI chat, OpenAI responses and Anthropic, llama-server's timings
_PROMPT = ("prompt_tokens", "input_tokens", "prompt_n")
_COMPLETION = ("completion_tokens", "output_tokens", "predicted_n")
# These are part of a prompt too, and not contained in input_tokens or prompt_n.
_CACHED = ("cache_read_input_tokens", "cache_creation_input_tokens", "cache_n")


class Tokens(NamedTuple):
    """How many went in and out, and how fast the last ones came, if that was told."""

    prompt: int = 0
    completion: int = 0
    per_second: float | None = None


class Observer:
    """Sees the body of one answer. `pieces` and `feed` are the fast path."""

    __slots__ = ("_head", "_pieces", "_size", "_stream", "_tail", "events")

    def __init__(self, *, stream: bool) -> None:
        self.events = 0
        """Of a stream, as far as looked through."""
        self._stream = stream
        self._head = b""
        self._tail = b"\n"  # so that an event at the very beginning is one like the others
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> None:
        """A piece of the body, cut anywhere."""
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > TAIL:
            self.look()

    def look(self) -> int:
        """Looks through what was kept; the events so far."""
        if self._pieces:
            pieces = b"".join(self._pieces)
            self._pieces.clear()
            self._size = 0
            if len(self._head) < HEAD:
                self._head += pieces[: HEAD - len(self._head)]
            if self._stream:
                overlap = self._tail[1 - len(_EVENT) :]
                self.events += (overlap + pieces[: len(_EVENT) - 1]).count(_EVENT)
                self.events += pieces.count(_EVENT)
            self._tail = (self._tail + pieces)[-TAIL:]
        return self.events

    def tokens(self, *, whole: bool) -> Tokens:
        """What was told; for a stream that ended early, at least one token for each event."""
        events = self.look()
        found = _largest(self._tail, Tokens())
        if len(self._tail) == TAIL:  # else all of the answer is in it
            found = _largest(self._head, found)
        if self._stream and (not whole or found == (0, 0, None)):
            return found._replace(completion=max(found.completion, events))
        return found


def _largest(part: bytes, found: Tokens) -> Tokens:
    """Each number is told once or grows; usage and timings of one answer say the same."""
    for name in _NAMES:
        at = part.find(name)
        while at >= 0:
            at += len(name)
            if match := _OBJECT.match(part, at):
                told = _read(part, match.end())
                found = Tokens(
                    max(found.prompt, told.prompt),
                    max(found.completion, told.completion),
                    told.per_second or found.per_second,
                )
            at = part.find(name, at)
    return found


def _read(part: bytes, start: int) -> Tokens:
    try:
        text = part[start : start + _LONGEST].decode("utf-8", "replace")
        told: dict[str, Any] = _DECODER.raw_decode(text)[0]
    except (ValueError, RecursionError):
        return Tokens()
    cached = sum([_count(told[name]) for name in _CACHED if name in told])
    return Tokens(
        _first(told, _PROMPT) + cached,
        _first(told, _COMPLETION),
        _speed(told.get("predicted_per_second")),
    )


def _first(told: dict[str, Any], names: tuple[str, ...]) -> int:
    for name in names:
        if name in told:
            return _count(told[name])
    return 0


def _count(value: object) -> int:
    return value if type(value) is int and 0 <= value < 2**40 else 0


def _speed(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 < value < 1e6 else None
