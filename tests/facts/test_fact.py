"""A Mac may answer anything: it fails that Mac, and the run of nobody else."""

import importlib
import inspect
import pkgutil
import random
from collections.abc import Iterator
from typing import Any

import pytest
from pyinfra.api import FactBase, FactProcessError

import herd.facts
from herd.facts.fact import Fact
from herd.facts.files import Modes, State
from herd.facts.mac import Mac
from tests.core.samples import layout

ANSWERS = [
    [""],
    ["\x1b[2J"],
    ["port"],
    ["port\t"],
    ["pid\t9\t9"],
    ["file 1 2 3 ./x", "receipt", "pieces ./a/.herd/b.0123456789ab.pieces:{" + "[" * 100_000],
    ["--- models", "[" * 100_000, "200"],
    ["--- models", '{"data": 1e999}', "--- running", '{"running": [{"model": []}]}', "200"],
    ["--- health", "٣"],
    ["--- trust", "[1]"],
    ["1e999"],
    ["{" * 50_000],
    ["{}"],
    ['{"formulae": [{"name": [[]]}]}'],
    ["9" * 5000],
    ["file " + "9" * 5000 + " 1.0 1 ./x"],
    ["port\t" + "9" * 5000],
    ["disk " + "x" * 1_000_000],
    ["whole ../../x", "junk"],
    ["\udcff\ud800"],
    ["file"] * 50,
    ["	pid = " + "9" * 5000],
    ["	pid = -1", "	state = \x07"],
]


def facts() -> Iterator[type[FactBase[Any]]]:
    for module in pkgutil.iter_modules(herd.facts.__path__, "herd.facts."):
        for _, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(found, FactBase) and found.__module__ == module.name:
                yield found


FACTS = [found for found in facts() if found is not Fact]


LAYOUT = layout()


def asked(kind: Any) -> Any:
    """A fact that has put its question."""
    values: dict[str, Any] = {
        "uid": 501, "paths": ["/a", "/b"], "ports": [1], "names": ["x"], "texts": ["x"],
        "programs": ["x"], "layout": LAYOUT,
    }  # fmt: skip
    fact = kind()
    parameters = inspect.signature(fact.command).parameters
    fact.command(**{name: values.get(name, "/x") for name in parameters})
    return fact


def test_all_facts_are_here() -> None:
    assert {kind.__name__ for kind in FACTS} >= {"Mac", "Models", "Listeners", "State", "Brew"}
    assert all(issubclass(kind, Fact) for kind in FACTS)


@pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.__name__)
def test_no_answer_ends_the_run(kind: Any) -> None:
    """pyinfra fails one host for a FactProcessError, and all of them for anything else."""
    chance = random.Random(5)
    words = ["port", "pid", "file", "receipt", "pieces", "disk", "whole", "junk", "---", "./"]
    words += ["{}", "[", '"', "\t", "9", "-1", "é", "state", "=", ""]
    lines = [" ".join(chance.choices(words, k=chance.randrange(8))) for _ in range(800)]
    for answer in [*ANSWERS, *(lines[n : n + 4] for n in range(0, 800, 4))]:
        told = ""
        try:
            asked(kind).process(answer)
        except FactProcessError as error:
            told = str(error)
        assert len(told) < 600


@pytest.mark.parametrize("kind", [State, Modes])
@pytest.mark.parametrize("lines", [[], ["absent"], ["absent"] * 3])
def test_there_is_one_entry_for_each_path(kind: Any, lines: list[str]) -> None:
    with pytest.raises(FactProcessError, match="lines about 2 paths"):
        asked(kind).process(lines)


MAC = {
    "uid": "501", "user": "me", "home": "/Users/me", "system": "Darwin", "arch": "arm64",
    "macos": "15.1", "chip": "Apple M4", "memory": "137438953472", "disk": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("home", text) for text in ("", "Users/me", "/Users/../etc", "/Users/\x1b[2J", "~")),
        *(("uid", text) for text in ("", "-1", "5_0", "٣", "1e3", "9" * 5000, str(2**40))),
        *(("memory", text) for text in ("-1", "inf", "1.5", "9" * 30)),
        ("user", "me\x07"),
    ],
)
def test_a_mac_that_is_none_is_refused(name: str, value: str) -> None:
    good = [f"{key}\t{text}" for key, text in MAC.items()]
    assert asked(Mac).process(good).home == "/Users/me"
    bad = [f"{key}\t{text}" for key, text in {**MAC, name: value}.items()]

    with pytest.raises(FactProcessError):
        asked(Mac).process(bad)
