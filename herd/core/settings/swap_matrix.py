"""llama-swap's matrix of models that may be loaded together, in the language of its sets.

`sets` are expressions of models, `&` (together with), `|` (or), parentheses and `+name` (another
set): `{"evening": "gpt & (tiny | coder)"}`. A model of no set is loaded alone (llama-swap v250,
internal/matrix and internal/config/matrix.go).
"""

import re
from collections.abc import Callable, Collection, Iterator
from typing import Annotated, TypeAlias

from pydantic import Field, field_validator

from herd.core.settings.field_types import Strict, Text

MOST = 2000
"""Ways to combine models in one set; a memory sum is made of each."""

_TOKEN = re.compile(r"\s*(?:([&|()])|(\+?[\w.-]+)|(\S))")

Ways = set[frozenset[str]]
Node: TypeAlias = "str | tuple[str, list[Node]]"


class Matrix(Strict):
    """Which models may be loaded together (llama-swap, `matrix`)."""

    vars: dict[
        Annotated[Text, Field(pattern=r"^[a-zA-Z0-9.-]{1,32}$", description="a short name")], Text
    ] = Field(default_factory=dict)
    evict_costs: dict[Text, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    sets: Annotated[dict[Text, Text], Field(min_length=1)]

    @field_validator("sets", mode="after")
    @classmethod
    def _read(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            try:
                _Parser(text)
            except ValueError as error:
                raise ValueError(f"has {name!r}, which {error}") from None
        return value

    def faults(self, models: Collection[str]) -> Iterator[str]:
        """What names nothing, or itself, in sentences."""
        known = {*models, *self.vars}
        for short, model in self.vars.items():
            if model not in models:
                yield f"There is no model {model!r}, for which vars has {short!r}."
        for name in self.evict_costs.keys() - known:
            yield f"There is no model {name!r}, which evict_costs has, and none of vars."
        for name, text in self.sets.items():
            for word in _Parser(text).names:
                if word.startswith("+") and word[1:] not in self.sets:
                    yield f"There is no set {word[1:]!r}, which the set {name!r} has."
                elif not word.startswith("+") and word not in known:
                    yield f"There is no model {word!r}, which the set {name!r} has."
        try:
            self.ways()
        except ValueError as error:
            yield f"{error}."

    def ways(self) -> list[frozenset[str]]:
        """Each largest combination of models that may be loaded at a time.

        Raises ValueError for a set that leads to itself, or has too many.
        """
        done: dict[str, Ways] = {}

        def of_set(name: str, above: tuple[str, ...]) -> Ways:
            if name in above:
                raise ValueError(f"The set {name!r} leads to itself")
            if name not in self.sets:
                return {frozenset()}
            if name not in done:
                parser = _Parser(self.sets[name])
                done[name] = parser.expand(lambda word: of_word(word, (*above, name)))
                if len(done[name]) > MOST:
                    raise ValueError(f"The set {name!r} has more than {MOST} combinations")
            return done[name]

        def of_word(word: str, above: tuple[str, ...]) -> Ways:
            if word.startswith("+"):
                return of_set(word[1:], above)
            return {frozenset({self.vars.get(word, word)})}

        return _largest(way for name in self.sets for way in of_set(name, ()))


def _largest(ways: Iterator[frozenset[str]]) -> list[frozenset[str]]:
    """Those that are in no other, in their order."""
    found = list(dict.fromkeys(ways))
    return [way for way in found if not any(way < other for other in found)]


class _Parser:
    """An expression, as nested lists: a name, or `&` or `|` with what it joins."""

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        for sign, word, other in _TOKEN.findall(text):
            if other or word == "+":
                raise ValueError(f"holds {other or word!r} where a model is to be")
            self._tokens.append(sign or word)
        self.names = [token for token in self._tokens if token not in "&|()"]
        self._at = 0
        self._root = self._or()
        if self._at < len(self._tokens):
            raise ValueError(f"goes on with {self._tokens[self._at]!r} behind its end")

    def expand(self, ways_of: Callable[[str], Ways]) -> Ways:
        """The combinations that it stands for."""
        return self._expand(self._root, ways_of)

    def _expand(self, node: Node, ways_of: Callable[[str], Ways]) -> Ways:
        if isinstance(node, str):
            return ways_of(node)
        kind, inner = node
        parts = [self._expand(each, ways_of) for each in inner]
        if kind == "|":
            return set().union(*parts)
        found: Ways = {frozenset()}
        for part in parts:
            if len(found) * len(part) > MOST * 10:
                raise ValueError(f"A set has more than {MOST} combinations")
            found = {one | other for one in found for other in part}
        return found

    def _or(self) -> Node:
        return self._joined("|", self._and)

    def _and(self) -> Node:
        return self._joined("&", self._atom)

    def _joined(self, sign: str, part: Callable[[], Node]) -> Node:
        found = [part()]
        while self._next() == sign:
            self._at += 1
            found.append(part())
        return found[0] if len(found) == 1 else (sign, found)

    def _atom(self) -> Node:
        token = self._next()
        self._at += 1
        if token == "(":
            inner = self._or()
            if self._next() != ")":
                raise ValueError("does not close a parenthesis")
            self._at += 1
            return inner
        if token in ("&", "|", ")", ""):
            raise ValueError(f"has {token!r} where a model is to be" if token else "ends too early")
        return token

    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""
