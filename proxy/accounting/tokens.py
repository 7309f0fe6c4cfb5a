"""Tokens of one JSON text that llama-server sent: an answer, or an event of a stream. Pure.

Only its own `usage` and `timings` count, which stand right inside the text's object, or inside its
`message` or `response`; whatever stands deeper may be a model's work, as the input of a tool.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

NAMES = frozenset((b"usage", b"timings"))
INNER = frozenset((b"message", b"response"))
_INNER = tuple(sorted(name.decode() for name in INNER))

_MOST = 10**12
_FASTEST = 10**6


class Tokens(NamedTuple):
    """How many went in and out, and how fast the last ones came, if that was told."""

    prompt: int = 0
    completion: int = 0
    per_second: float | None = None

    def __add__(self, other: object) -> "Tokens":
        assert isinstance(other, Tokens)
        speed = self.per_second or other.per_second
        return Tokens(self.prompt + other.prompt, self.completion + other.completion, speed)

    def most(self, other: "Tokens") -> "Tokens":
        """The greater numbers: of two that speak of the same, each may lack some."""
        return Tokens(
            max(self.prompt, other.prompt),
            max(self.completion, other.completion),
            other.per_second or self.per_second,
        )


NONE = Tokens()


def of(document: Mapping[str, Any]) -> Tokens:
    """What such a text tells; NONE if nothing. OpenAI's chat and responses, Anthropic's messages
    and llama-server's own words."""
    told = NONE
    if "usage" in document:
        told = _usage(document["usage"])
    if "timings" in document:
        told = told.most(_timings(document["timings"]))
    for name in _INNER:
        if name in document and isinstance(inner := document[name], dict):
            told = told.most(_usage(inner.get("usage")))
    return told


def _usage(usage: object) -> Tokens:
    if not isinstance(usage, dict):
        return NONE
    if "prompt_tokens" in usage:
        return Tokens(_number(usage, "prompt_tokens"), _number(usage, "completion_tokens"))
    # What was cached is part of a prompt, and not contained in this number of Anthropic's.
    cached = _number(usage, "cache_read_input_tokens")
    cached += _number(usage, "cache_creation_input_tokens")
    return Tokens(_number(usage, "input_tokens") + cached, _number(usage, "output_tokens"))


def _timings(timings: object) -> Tokens:
    if not isinstance(timings, dict):
        return NONE
    speed = timings.get("predicted_per_second")
    if not isinstance(speed, int | float) or not 0 < speed < _FASTEST:
        speed = None
    prompt = _number(timings, "prompt_n") + _number(timings, "cache_n")
    return Tokens(prompt, _number(timings, "predicted_n"), speed)


def _number(told: Mapping[str, Any], name: str) -> int:
    """A whole number; whatever else it is, 0."""
    value = told.get(name)
    return value if type(value) is int and 0 <= value < _MOST else 0
