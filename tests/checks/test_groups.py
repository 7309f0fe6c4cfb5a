"""What group_data has for no group, and a group whose name is nearly one that has a meaning."""

from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import Inventory

from herd.checks import Project, groups
from herd.render.rendering import Rendering


def found(root: Path, files: dict[str, str], **declared: Any) -> list[tuple[str, str, str]]:
    """The level, place and words of each finding; the hosts of each group by its name."""
    (root / "group_data").mkdir()
    for name, text in files.items():
        (root / "group_data" / name).write_text(text)
    text = "".join(f"{name} = {hosts!r}\n" for name, hosts in declared.items())
    (root / "inventory.py").write_text(text)
    everybody = list(dict.fromkeys(host for hosts in declared.values() for host in hosts))
    every = {name: (hosts, {}) for name, hosts in declared.items()}
    inventory = Inventory((everybody, {}), **every)
    data = {host.name: host for host in inventory}
    project = Project(root, "inventory.py", root, Rendering([], [], data))
    return [(f.level, str(f.place), f"{f.message} {f.fix}") for f in groups.check(project)]


def test_files_of_groups_that_are_there_are_right(tmp_path: Path) -> None:
    """Of the file's own group too, of one that has no host yet, and what is no data."""
    names = ("all.py", "macs.py", "canary.py", "inventory.py", "_shared.py", "README.md", "x.json")

    assert found(tmp_path, dict.fromkeys(names, ""), macs=["mac1"], canary=[]) == []


@pytest.mark.parametrize(
    ("file", "level", "words"),
    [
        ("canry.py", "error", "there is no group canry. did you mean canary.py? inventory.py"),
        ("studios.py", "note", "there is no group studios. inventory.py names the groups."),
        (
            "all.yaml",
            "error",
            "it is no .py. write Python, as NAME = value, into group_data/all.py.",
        ),
        (
            "canry.yml",
            "error",
            "it is no .py. write Python, as NAME = value, into group_data/canary",
        ),
    ],
)
def test_a_file_that_nothing_reads_is_told(
    tmp_path: Path, file: str, level: str, words: str
) -> None:
    """Another inventory beside this one may have a group of its own."""
    (told,) = found(tmp_path, {file: ""}, macs=["mac1"], canary=["mac1"])

    assert told[:2] == (level, f"group_data/{file}:1")
    assert told[2].startswith("Nothing reads this file")
    assert words in told[2]


def test_a_group_that_is_nearly_gateways_is_told(tmp_path: Path) -> None:
    ((level, place, said),) = found(tmp_path, {}, macs=["mac1"], gateway=["mac2"])

    assert (level, place) == ("note", "inventory.py:2")
    assert "gateways are those in gateways" in said


def test_beside_gateways_such_a_group_is_somebodys_own(tmp_path: Path) -> None:
    assert found(tmp_path, {}, gateway=["mac2"], gateways=["mac2"]) == []
