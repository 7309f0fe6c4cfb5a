"""Settings as group_data/all.py has them, with what a test wants different."""

import copy
import runpy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from herd.core.mac.archives import Bundle
from herd.core.mac.layout import Layout
from herd.core.models.missing_files import File, Resolved
from herd.core.settings import cross_checks
from herd.core.settings.cross_checks import Declared
from herd.core.settings.precedence import Layer
from herd.core.settings.problems import Problem
from herd.core.settings.schema import Settings

ROOT = Path(__file__).parents[2]
ALL = "group_data/all.py"

# Bundle of a proxy that is not there: tests need its names only.
BUNDLE = Bundle(b"archive", "0123456789abcdef", "aiohttp==1 --hash=sha256:00\n", "fedcba9876543210")

# What a person may write where we take text: each must come through exactly.
HOSTILE = [
    "two words",
    " space at both ends ",
    "it's",
    'say "hi"',
    "a&b<c>d",
    "# no comment",
    "a #b",
    "$HOME $(id) `id`",
    "$x} {x}",
    "back\\slash\\",
    "naïve-模型-🦙",
    "-leading-dash",
    "key: value",
    "- item",
    "100%s %d %%",
    "*&!|>?@[]{},",
    "'",
    '"',
    "~",
    "null",
    "yes",
    "0x1F",
    "1e3",
    "a'b\"c\\'d",
    "\u00a0no-break\u200bzero",
    "%YAML 1.2",
    "---",
    "]]>",
    "&amp;",
]

# The same in few names, for what takes longer.
HOSTILE_NAMES = [
    'it\'s "quoted" $HOME `id` \\n\\',
    "-leading dash",
    " #1 100%s &<>*?[]{}; ",
    "naïve-模型-🦙",
]


def defaults() -> dict[str, Any]:
    """The settings of group_data/all.py."""
    found = runpy.run_path(str(ROOT / ALL))
    return {k: copy.deepcopy(v) for k, v in found.items() if not k.startswith("__")}


def declare(
    name: str = "mac1",
    *,
    everywhere: Mapping[str, Any] | None = None,
    machine: tuple[str, int] | None = None,
    **own: Any,
) -> Declared:
    """A host with data of its own; `everywhere` replaces group_data/all.py."""
    layers = [
        Layer(ALL, defaults() if everywhere is None else everywhere),
        Layer(f"host {name} of the inventory", own),
    ]
    return Declared(name, layers, machine or (name, 22))


def problems(*hosts: Declared) -> list[Problem]:
    """What is wrong with these hosts."""
    return cross_checks.check(hosts)[1]


def model(**fields: Any) -> dict[str, Any]:
    """Host data that declares one more model, with these fields."""
    return {"models": {"tiny": {"repo": "me/tiny-GGUF", **fields}}}


def groups(**members: list[str]) -> dict[str, Any]:
    """Host data that declares the models a and b, and these groups."""
    return {
        "models": {name: {"repo": f"me/{name}"} for name in ("a", "b")},
        "llama_swap_groups": {name: {"members": names} for name, names in members.items()},
    }


def assert_told(data: Mapping[str, Any], where: str, what: str, fix: str) -> None:
    """What a host says is a problem at that place, in those words, with that way to mend it."""
    found = problems(declare(**data))
    matching = [p for p in found if p.where.startswith(f"mac1: {where}") and what in p.what]
    assert matching, found
    assert matching[0].where.endswith("from host mac1 of the inventory")
    assert fix in matching[0].fix
    assert matching[0].fix.endswith((".", "?"))
    assert matching[0].what.endswith(".")


def settings(**own: Any) -> Settings:
    """Valid settings of a host with data of its own."""
    found, wrong = cross_checks.check([declare(**own)])
    assert wrong == []
    return found["mac1"]


def one_model(**fields: Any) -> Settings:
    """Valid settings with one small model, and these fields of it."""
    return settings(models={"gpt-oss-120b": None, "tiny": {"repo": "me/tiny-GGUF", **fields}})


def layout(home: str = "/Users/me", **own: Any) -> Layout:
    """The paths of a host with data of its own."""
    return Layout(settings(**own), home)


def served(own: Settings, first: str = "m-00001-of-00003.gguf", **fields: Any) -> list[Resolved]:
    """The files of each model of these settings."""
    return [
        resolved([(first, 1)], **{"name": name, "directory": model.directory, **fields})
        for name, model in own.models.items()
    ]


def resolved(files: Iterable[tuple[str, int]] = (("tiny.gguf", 100),), **fields: Any) -> Resolved:
    """A model's files at a commit."""
    entries = tuple(File(path, size, f"{number:064x}") for number, (path, size) in enumerate(files))
    values: dict[str, Any] = {
        "name": "tiny",
        "repo": "me/tiny-GGUF",
        "commit": "c0ffee" * 6 + "c0ff",
        "directory": "tiny-GGUF",
        "first": entries[0].path,
        "endpoint": "https://hub.example",
    }
    return Resolved(files=entries, **{**values, **fields})
