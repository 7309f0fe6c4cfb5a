"""Groups: pyinfra passes over a file of group_data that is no group's, with all that is in it."""

import ast
import difflib
from collections.abc import Iterator
from pathlib import Path

from herd.checks.project import ERROR, NOTE, Finding, Project
from herd.checks.sources import Place, tree
from herd.core.gateway import fleet

RULES = {"groups": "No file of group_data has the name of a group misspelled, or is no Python"}
_NO_PYTHON = (".yaml", ".yml", ".json", ".toml")


def check(project: Project) -> Iterator[Finding]:
    """What is in group_data, then the names of groups."""
    inventory = Path(project.inventory)
    groups = _groups(project)
    for file in sorted((project.root / inventory.parent / "group_data").glob("[!_]*")):
        (near,) = difflib.get_close_matches(file.stem, groups, 1) or [""]
        place = Place(str(inventory.parent / "group_data" / file.name))
        if file.suffix in _NO_PYTHON and near:
            fix = f"write Python, as NAME = value, into group_data/{near}.py."
            yield Finding("groups", place, "Nothing reads this file: it is no .py.", fix)
        elif file.suffix == ".py" and file.stem not in groups:
            message = f"Nothing reads this file here: there is no group {file.stem}."
            # Which may be one of another inventory that lies here.
            fix = f"did you mean {near}.py? " if near else ""
            fix += f"{inventory.name} names the groups."
            level = ERROR if near else NOTE
            yield Finding("groups", place, message, fix, level=level)
    if fleet.GROUP not in groups:
        for name in difflib.get_close_matches(fleet.GROUP, groups, 1, 0.85):
            message = f"The group {name} has no meaning; gateways are those in {fleet.GROUP}."
            fix = f"if they are to be gateways, call the group {fleet.GROUP}."
            place = Place(project.inventory, groups[name])
            yield Finding("groups", place, message, fix, level=NOTE)


def _groups(project: Project) -> dict[str, int]:
    """Those of the hosts, and those that the inventory names and leaves empty, with their lines."""
    inventory = Path(project.inventory)
    found = dict.fromkeys(("all", inventory.stem), 1)
    for host in project.rendering.data.values():
        found |= dict.fromkeys(host.groups, 1)
    for node in tree(project.root / inventory).body:
        for target in node.targets if isinstance(node, ast.Assign) else ():
            if isinstance(target, ast.Name) and not target.id.startswith("_"):
                found[target.id] = node.lineno
    return found
