"""brew --version, --prefix, list, outdated and info: what is there, and what could be."""

from __future__ import annotations

from lab.commands import brew_taps
from lab.commands.base import fail
from lab.homebrew import BrewError, Formula, Homebrew

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def version(homebrew: Homebrew, names: list[str], flags: list[str]) -> int:
    print(f"Homebrew {homebrew.mac.facts['homebrew']}")
    return 0


def prefix(homebrew: Homebrew, names: list[str], flags: list[str]) -> int:
    for name in names:
        print(homebrew.prefix / "opt" / name)  # also of what is not installed
    if not names:
        print(homebrew.prefix)
    return 0


def listing(homebrew: Homebrew, names: list[str], flags: list[str]) -> int:
    installed = homebrew.installed()
    names = [name.rpartition("/")[2] for name in names]
    if "--versions" in flags:
        for name in names or installed:
            if name in installed:
                print(name, *installed[name])
        return 0 if all(name in installed for name in names) else 1
    for name in names:
        if name not in installed:
            raise BrewError(f"No such keg: {homebrew.cellar / name}")
        for file in sorted((homebrew.cellar / name).rglob("*")):
            if not file.is_dir():
                print(file)
    if not names:
        print("\n".join(installed), end="\n" if installed else "")
    return 0


def outdated(homebrew: Homebrew, names: list[str], flags: list[str]) -> int:
    import json

    old = []
    for name, versions in homebrew.installed().items():
        formula = homebrew.find(name)
        wanted = not names or name in names
        if formula is None or not wanted or not homebrew.outdated(name):
            continue
        if not homebrew.is_trusted(formula):
            brew_taps.skip(formula)
            continue
        old.append(
            {
                "name": formula.full_name,
                "installed_versions": versions,
                "current_version": formula.version,
                "pinned": homebrew.pinned(name),
                "pinned_version": versions[-1] if homebrew.pinned(name) else None,
            }
        )
    if any(flag.startswith("--json") for flag in flags):
        print(json.dumps({"formulae": old, "casks": []}, indent=2))
    else:
        for entry in old:
            print(entry["name"])
    return 1 if names and old else 0


def info(homebrew: Homebrew, names: list[str], flags: list[str]) -> int:
    import json

    entries = []
    for name in names or (homebrew.installed() if "--installed" in flags else []):
        formula = homebrew.find(name)
        if formula is None or not brew_taps.tapped(homebrew, formula):
            return fail(f'Error: No available formula with the name "{name}".')
        brew_taps.load(homebrew, formula)
        entries.append(_describe(homebrew, formula))
    if any(flag.startswith("--json") for flag in flags):
        print(json.dumps({"formulae": entries, "casks": []}, indent=2))
        return 0
    for entry in entries:
        print(f"==> {entry['full_name']}: stable {entry['versions']['stable']} (bottled)")
        print(entry["desc"])
        print("Installed" if entry["installed"] else "Not installed")
    return 0


def _describe(homebrew: Homebrew, formula: Formula) -> dict[str, Any]:
    import json

    kegs = []
    for version in homebrew.installed().get(formula.name, []):
        path = homebrew.cellar / formula.name / version / "INSTALL_RECEIPT.json"
        requested = path.exists() and json.loads(path.read_text())["installed_on_request"]
        kegs.append(
            {
                "version": version,
                "installed_on_request": requested,
                "installed_as_dependency": not requested,
                "poured_from_bottle": True,
                "runtime_dependencies": [{"full_name": name} for name in formula.dependencies],
            }
        )
    return {
        "name": formula.name,
        "full_name": formula.full_name,
        "tap": formula.tap,
        "aliases": [],
        "oldnames": list(formula.oldnames),
        "desc": formula.description,
        "versions": {"stable": formula.version, "head": None, "bottle": True},
        "revision": 0,
        "version_scheme": 1 if formula.name == "llama.cpp" else 0,
        "keg_only": False,
        "dependencies": list(formula.dependencies),
        "installed": kegs,
        "linked_keg": homebrew.linked(formula.name),
        "pinned": homebrew.pinned(formula.name),
        "outdated": bool(kegs) and homebrew.outdated(formula.name),
        "deprecated": False,
        "disabled": False,
        "service": None,
    }
