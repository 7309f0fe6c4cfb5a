"""Where a person wrote what shows in a rendering: a line of group_data, inventory or a template."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pyinfra.api import Host

from herd import plan
from herd.core.settings.precedence import merge
from herd.workstation import toolkit


class Place(NamedTuple):
    """A line of a file, both as a person counts them; the path is relative to the project."""

    file: str
    line: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


_TEMPLATES = (
    (re.compile(r"/config\.yaml$"), "config.yaml.j2"),
    (re.compile(r"\.plist$"), "plist.j2"),
    (re.compile(r"/start\.command$"), "start.command.j2"),
)


def shown(file: Path) -> str:
    """A file of the toolkit as a person finds it: relative to where they are, if it is there."""
    path, here = file.resolve(), Path.cwd().resolve()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def of_setting(root: Path, inventory: str, host: Host, path: str) -> Place | None:
    """Of the layer of data that has the last word on a setting of a host."""
    merged = merge(plan.declared(host).layers)
    own = path.startswith("models.") and path not in merged.sources
    default = f"model_defaults.{path.rpartition('.')[2]}"
    path = default if own and default in merged.sources else path
    return in_layer(root, inventory, host.name, merged.source(path), path)


def of_problem(root: Path, inventory: str, where: str, what: str) -> Place | None:
    """Of the `where` of a problem: "mac1: models.tiny.ttl, from group_data/all.py"."""
    match = re.match(r"^(.*?): (.*), from (.*)$", where, re.DOTALL)
    if match is None:
        host = where.partition(":")[0]
        return _host(root / inventory, inventory, host.partition(",")[0])
    number = re.match(r"key (\d+)", what, re.IGNORECASE)
    path = f"{match[2]}.{number[1]}" if number else match[2]
    return in_layer(root, inventory, match[1], match[3], path)


def in_layer(root: Path, inventory: str, host: str, layer: str, path: str) -> Place | None:
    """A setting in one layer of data, by the name that a person knows the layer by."""
    if layer.startswith("host "):
        return _host(root / inventory, inventory, host, path)
    name = f"group_data/{layer.removeprefix('group ')}.py" if layer[:6] == "group " else layer
    if layer == toolkit.DEFAULTS:
        file = toolkit.ROOT / "group_data/all.py"
        return Place(shown(file), _assigned(tree(file), path))
    file = Path(inventory).parent / name
    if (root / file).is_file():
        return Place(str(file), _assigned(tree(root / file), path))
    return None


def of_template(root: Path, path: str, text: str) -> Place | None:
    """The template of a file in a toolkit, at the line that made `text`, as far as its fixed start
    tells."""
    for pattern, name in _TEMPLATES:
        if pattern.search(path) and (root / "templates" / name).is_file():
            lines = (root / "templates" / name).read_text(encoding="utf-8").splitlines()
            starts = [re.split(r"\{[{%]", line.strip())[0] for line in lines]
            fits = [n for n, start in enumerate(starts) if start and text.strip().startswith(start)]
            best = max(fits, key=lambda number: len(starts[number]), default=0)
            return Place(shown(root / "templates" / name), best + 1)
    return None


@cache
def _parsed(path: Path, changed: int) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])


def tree(path: Path) -> ast.Module:
    """What a file of Python says, nothing when it cannot be read."""
    return _parsed(path, path.stat().st_mtime_ns if path.exists() else 0)


def _host(file: Path, shown: str, host: str, path: str = "") -> Place | None:
    """A host's entry in an inventory file, or a setting beside it."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Constant) and node.value == host:
            for pair in ast.walk(tree(file)):
                if isinstance(pair, ast.Tuple) and pair.elts[:1] == [node] and len(pair.elts) == 2:
                    return Place(shown, _within(pair.elts[1], path, node.lineno))
            return Place(shown, node.lineno)
    return Place(shown) if file.is_file() else None


def _assigned(tree: ast.Module, path: str) -> int:
    """The line of a setting in a module, or of the nearest thing above it that is there."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        for target in targets:
            name = target.id if isinstance(target, ast.Name) else ""
            if name and (path == name or path.startswith(f"{name}.")):
                assert isinstance(node, ast.Assign)
                return _within(node.value, path[len(name) + 1 :], node.lineno)
    return 1


def _within(node: ast.expr, path: str, line: int) -> int:
    """The line of an entry of a literal; keys may hold dots, so each is tried as a whole."""
    for key, child, at in _entries(node):
        if path == key or path.startswith(f"{key}."):
            return _within(child, path[len(key) + 1 :], at)
    return line


def _entries(node: ast.expr) -> Iterator[tuple[str, ast.expr, int]]:
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant):
                yield str(key.value), value, key.lineno
    elif isinstance(node, ast.List):
        for number, value in enumerate(node.elts, start=1):
            yield str(number), value, value.lineno
