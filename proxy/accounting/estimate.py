"""What a request took at most, where its answer did not tell, or was not waited for. Pure.

A limit that could be got round by not listening to the end would be none. So what is not told is
taken from what was seen: bytes of the request, events and bytes of the answer, and time. A byte of
a prompt is charged as the most tokens it can be, until the model has shown by long requests that
were told that its own are longer; a prompt is no longer than the model's context, and what had no
answer no longer than what can be read in its time; see docs/decisions/0016.
"""

import math
from enum import Enum, auto
from functools import lru_cache

from proxy.accounting.answer_observer import Told
from proxy.accounting.tokens import NONE, Tokens

LONG = 1024
"""Bytes from which on a request says how long a model's tokens are: most of it is text."""
DENSEST, THINNEST = 2.0, 0.25
"""Tokens in a byte of a request: where a vocabulary of bytes writes a space as three; English."""
ENOUGH = 8
"""Tokens, to speak of a speed."""
FAST = 100.0
"""Tokens per second of a model that has told no speed yet."""
READ = 20_000.0
"""Tokens of prompts per second, at most: assumed, and well above what a Mac reads with a model that
is worth a limit."""
LARGEST = 2**20
"""Tokens of a context that nobody told: larger ones do not fit beside a model."""


class Kind(Enum):
    """What is to be told by a route's answers."""

    NOTHING = auto()  # audio, pictures, a count: no tokens are made
    PROMPT = auto()
    ANSWER = auto()  # to one prompt
    ANSWERS = auto()  # to one prompt or several


_NOTHING = ("/v1/audio/", "/v1/images/", "/sdapi/", "/audioapi/", "/props")
_PROMPT = ("/embeddings", "/rerank", "/reranking")
_ANSWER = ("/chat/completions", "/responses", "/messages")


@lru_cache(64)  # there are few routes
def kind_of(path: str) -> Kind:
    """By the path of an inference route."""
    if path.startswith(_NOTHING) or path.endswith("/count_tokens"):
        return Kind.NOTHING
    if path.endswith(_PROMPT):
        return Kind.PROMPT
    return Kind.ANSWER if path.endswith(_ANSWER) else Kind.ANSWERS


class Pace:
    """What models have told of themselves so far, by their names in counters."""

    def __init__(self) -> None:
        self._density: dict[str, float] = {}
        self._speed: dict[str, float] = {}

    def learn(self, model: str, asked: int, tokens: Tokens) -> None:
        """From a whole answer to a request of so many bytes."""
        if asked >= LONG and tokens.prompt:
            seen = max(self._density.get(model, THINNEST), tokens.prompt / asked)
            self._density[model] = min(DENSEST, seen)
        if tokens.per_second and tokens.completion >= ENOUGH:
            self._speed[model] = max(self._speed.get(model, 0), tokens.per_second)

    def prompt(self, model: str, asked: int) -> int:
        """Tokens in so many bytes, whatever becomes of them."""
        return math.ceil(asked * self._density.get(model, DENSEST))

    def answer(self, model: str, seconds: float) -> int:
        """Tokens in so much time."""
        return math.ceil(max(0.0, seconds) * self._speed.get(model, FAST))


def of_prompt(kind: Kind, asked: int, context: int, seconds: float | None) -> int:
    """What was read of so many tokens, at most: in `seconds`, if not surely all of them."""
    if kind is Kind.ANSWER:
        asked = min(asked, context)
    return asked if seconds is None else min(asked, math.ceil(max(0.0, seconds) * READ))


def of_stream(kind: Kind, told: Told, asked: int, *, whole: bool) -> Tokens:
    """`asked` is the estimated prompt."""
    tokens = told.tokens
    if whole and told.complete:
        return tokens
    prompt = tokens.prompt
    if not prompt or kind is Kind.ANSWERS:  # of several prompts only some may have been told
        prompt = max(prompt, asked)
    return tokens._replace(prompt=prompt, completion=max(tokens.completion, told.events))


def of_plain(kind: Kind, told: Told, asked: int, timed: int, *, whole: bool) -> Tokens:
    """`timed` is what was made meanwhile, at most."""
    if whole and told.complete:
        return told.tokens
    prompt = max(told.tokens.prompt * max(1, told.results), asked)
    tokens = told.tokens._replace(prompt=prompt)
    if kind is Kind.PROMPT:
        return tokens
    seen = told.size if whole else max(told.size, timed)
    return tokens._replace(completion=max(tokens.completion, seen))


def of_none(kind: Kind, asked: int, timed: int) -> Tokens:
    """Of an answer that was not waited for at all."""
    if kind is Kind.NOTHING:
        return NONE
    return Tokens(asked, 0 if kind is Kind.PROMPT else timed)
