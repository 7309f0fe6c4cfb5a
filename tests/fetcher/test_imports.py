"""The fetcher is a program of its own, and its map is true."""

import re
import sys

import pytest

import fetcher
from tests.test_layers import ROOT, imports, name

FILES = sorted((ROOT / "fetcher").rglob("*.py"))
MAP = re.findall(r"^- `(\w+)`", fetcher.__doc__ or "", re.MULTILINE)


@pytest.mark.parametrize("file", FILES, ids=name)
def test_it_needs_nothing_but_what_the_proxy_s_environment_has(file: object) -> None:
    outside = {module.split(".")[0] for module in imports(file)}  # type: ignore[arg-type]

    assert outside <= {"aiohttp", "uvloop", "yarl", "fetcher"} | sys.stdlib_module_names


@pytest.mark.parametrize("file", FILES, ids=name)
def test_a_module_imports_only_those_above_it_in_the_map(file: object) -> None:
    mine = name(file).split(".")[-1]  # type: ignore[arg-type]
    used = {m.split(".")[1] for m in imports(file) if m.startswith("fetcher.")}  # type: ignore[arg-type]
    above = MAP[: MAP.index(mine)] if mine in MAP else []

    # `from fetcher import place` names a module, too.
    assert used <= {*above}


def test_the_map_has_every_module() -> None:
    assert {name(file).split(".")[-1] for file in FILES} - {"__init__"} == set(MAP)
