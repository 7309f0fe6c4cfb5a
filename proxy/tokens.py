"""Tokens of an answer, read in passing from the `usage` and `timings` that llama-server sends.

Runs for each token of each stream, so a piece is only kept until there are some KB of them; then
they are looked through at once, and all but the end is dropped. Nothing is decoded before the
answer is over, when the numbers stand near its end (chat, responses, messages) or its beginning
(embeddings; the first event of messages). Text that a model wrote cannot pass for them: in JSON,
its quotation marks are escaped.
"""

import re
from typing import NamedTuple

HEAD = 1024
TAIL = 4096

_EVENT = b"\ndata:"
_DONE = b"data: [DONE]"  # an event, and no token
_LONGEST = 1500  # of usage or timings, from the name on
# OpenAI's chat and responses, Anthropic's messages, llama-server's timings. Whole numbers end with
# a comma or bracket: 1e9 is none.
_NUMBER = re.compile(
    rb'"((?:prompt|completion|input|output|cache_read_input|cache_creation_input)_tokens'
    rb'|prompt_n|predicted_n|cache_n)"\s*:\s*([0-9]{1,12})(?=[\s,}])'
)
_CACHED = (b"cache_read_input_tokens", b"cache_creation_input_tokens")
_SPEED = re.compile(rb'"predicted_per_second"\s*:\s*([0-9]{1,6}(?:\.[0-9]{1,20})?)(?=[\s,}])')


class Tokens(NamedTuple):
    """How many went in and out, and how fast the last ones came, if that was told."""

    prompt: int = 0
    completion: int = 0
    per_second: float | None = None


NONE = Tokens()


class Observer:
    """Sees the body of one answer. `feed` is the fast path."""

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
            self._pieces = []
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
        if not self._stream and len(self._pieces) == 1 and not self._head:
            events, tail = 0, self._pieces[0]  # all of a short answer came at once
        else:
            events, tail = self.look(), self._tail
        usage = tail.rfind(b'"usage"')
        found = _read(tail, usage, tail.rfind(b'"timings"'))
        if len(tail) == TAIL or tail.find(b'"usage"') != usage:  # else that was all
            head = self._head
            first = _read(head, head.find(b'"usage"'), head.find(b'"timings"'))
            found = Tokens(
                max(found.prompt, first.prompt),
                max(found.completion, first.completion),
                found.per_second or first.per_second,
            )
        if self._stream and (not whole or found == NONE):
            events -= tail.rstrip().endswith(_DONE)
            return found._replace(completion=max(found.completion, events))
        return found


def _read(part: bytes, usage: int, timings: int) -> Tokens:
    """What is told from these places on; -1 is nowhere. They say the same in different words."""
    if usage < 0 and timings < 0:
        return NONE
    start = min(usage, timings) if usage >= 0 and timings >= 0 else max(usage, timings)
    stop = max(usage, timings) + _LONGEST
    told = {name: int(digits) for name, digits in _NUMBER.findall(part, start, stop)}
    speed = None
    if timings >= 0 and (match := _SPEED.search(part, timings, stop)):
        speed = float(match[1]) or None
    if b"prompt_tokens" in told:
        return Tokens(told[b"prompt_tokens"], told.get(b"completion_tokens", 0), speed)
    if b"output_tokens" in told:
        # What was cached is part of a prompt, and not contained in this number.
        cached = [told.get(name, 0) for name in _CACHED]
        return Tokens(told.get(b"input_tokens", 0) + sum(cached), told[b"output_tokens"], speed)
    prompt = told.get(b"prompt_n", 0) + told.get(b"cache_n", 0)
    return Tokens(prompt, told.get(b"predicted_n", 0), speed)
