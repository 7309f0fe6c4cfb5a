"""llama-swap's matrix (v250, internal/matrix): which models may run beside a requested one.

A set is an expression of models, `&`, `|`, parentheses and `+` with another set's name. Here all
its combinations are made at once, where llama-swap has a way around that: enough for a test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from lab.llama_swap.macros import ConfigError

Ways = list[frozenset[str]]
"""Combinations, in the order in which they are tried."""


@dataclass
class Matrix:
    """The combinations of all sets, and what it costs to stop a model, if not 1."""

    ways: Ways
    costs: dict[str, int]

    def evicted_for(self, model: str, running: Collection[str]) -> set[str]:
        """Who of those that run has to go: the cheapest; all of them for a model of no set."""
        if model in running:
            return set()
        possible = [way for way in self.ways if model in way] or [frozenset({model})]
        stopped = [set(running) - way for way in possible]
        return min(stopped, key=lambda names: sum(self.costs.get(name, 1) for name in names))


def compiled(raw: Mapping[str, Any], models: Collection[str]) -> Matrix:
    """Of the block in config.yaml. Raises ConfigError in llama-swap's words."""
    sets = {str(name): str(text) for name, text in (raw.get("sets") or {}).items()}
    if not sets:
        raise ConfigError("matrix: matrix must define at least one set")
    names = {str(short): str(model) for short, model in (raw.get("vars") or {}).items()}
    for short, model in names.items():
        if not re.fullmatch(r"[a-zA-Z0-9.-]{1,32}", short):
            raise ConfigError(
                f"matrix: var key \"{short}\" must contain only alphanumeric, '-' or '.' "
                "characters and be 1-32 characters long"
            )
        if model not in models:
            raise ConfigError(f'matrix: var key "{short}" references unknown model "{model}"')
    real = {**{model: model for model in models}, **names}
    costs = {}
    for name, cost in (raw.get("evict_costs") or {}).items():
        if not isinstance(cost, int) or cost <= 0:
            raise ConfigError(
                f'matrix: evict_cost for "{name}" must be a positive integer, got {cost}'
            )
        if name not in real:
            raise ConfigError(f'matrix: evict_costs: unknown var or model "{name}"')
        costs[real[name]] = cost
    return Matrix(_Sets(sets, real).all(), costs)


class _Sets:
    def __init__(self, texts: Mapping[str, str], real: Mapping[str, str]) -> None:
        self._real = real
        self._done: dict[str, Ways] = {}
        self._parsed = {}
        for name, text in texts.items():
            try:
                self._parsed[name] = _Parser(text)
            except ValueError as error:
                raise ConfigError(f'matrix: set "{name}": {error}') from None
        for name, parser in self._parsed.items():
            for word in parser.words:
                if word.startswith("+") and word[1:] not in texts:
                    raise ConfigError(f'matrix: set "{name}" references undefined set "{word[1:]}"')
                if not word.startswith("+") and word not in real:
                    raise ConfigError(f'matrix: set "{name}": unknown var or model "{word}"')

    def all(self) -> Ways:
        return [way for name in self._parsed for way in self._of(name, ())]

    def _of(self, name: str, above: tuple[str, ...]) -> Ways:
        if name in above:
            raise ConfigError(f'matrix: circular reference detected involving set "{name}"')
        if name not in self._done:

            def of_word(word: str) -> Ways:
                if word.startswith("+"):
                    return self._of(word[1:], (*above, name))
                return [frozenset({self._real[word]})]

            self._done[name] = self._parsed[name].ways(of_word)
        return self._done[name]


class _Parser:
    """An expression of one set, as internal/matrix/dsl.go reads it."""

    def __init__(self, text: str) -> None:
        if not text.strip():
            raise ValueError("empty DSL expression")
        self._tokens: list[str] = []
        for match in re.finditer(r"\s*([&|()]|\+?[\w.-]+|\S)", text):
            token = match[1]
            if not re.fullmatch(r"[&|()]|\+?[\w.-]+", token):
                at = match.start(1)
                what = f"unexpected character '{token}' at position {at}"
                if token == "+":
                    what = f"expected set name after '+' at position {at + 1}"
                raise ValueError(f"tokenize: {what}")
            self._tokens.append(token)
        self.words = [token for token in self._tokens if token not in "&|()"]
        self._at = 0
        self._root = self._or()
        if self._peek():
            raise ValueError(f'parse: unexpected token "{self._peek()}" after expression')

    def ways(self, of_word: Callable[[str], Ways]) -> Ways:
        return _ways(self._root, of_word)

    def _or(self) -> Any:
        return self._joined("|", lambda: self._joined("&", self._atom))

    def _joined(self, sign: str, part: Callable[[], Any]) -> Any:
        parts = [part()]
        while self._peek() == sign:
            self._at += 1
            parts.append(part())
        return (sign, parts)

    def _atom(self) -> Any:
        token = self._peek()
        self._at += 1
        if token == "(":
            inner = self._or()
            if self._peek() != ")":
                raise ValueError("parse: missing closing parenthesis")
            self._at += 1
            return inner
        if token in ("", "&", "|", ")"):
            raise ValueError(f'parse: unexpected token "{token}"')
        return token

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""


def _ways(node: Any, of_word: Callable[[str], Ways]) -> Ways:
    if isinstance(node, str):
        return of_word(node)
    sign, parts = node
    each = [_ways(part, of_word) for part in parts]
    if sign == "|":
        return [way for ways in each for way in ways]
    found: Ways = [frozenset()]
    for ways in each:
        found = [one | other for one in found for other in ways]
    return found
