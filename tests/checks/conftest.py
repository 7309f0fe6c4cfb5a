"""A project that is rendered once in this process, for faults that are put into its files."""

from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import Inventory

from herd.checks import Project
from herd.render import rendering
from tests.checks import sample


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The sample project, rendered."""
    root = tmp_path_factory.mktemp("project")
    sample.make(root)
    settings: dict[str, Any] = {}
    exec((root / "group_data/all.py").read_text(), settings)
    hosts: dict[str, Any] = {}
    exec((root / "inventory.py").read_text(), hosts)
    data = {key: value for key, value in settings.items() if not key.startswith("__")}
    inventory = Inventory((hosts["macs"], data))
    found = rendering.render(inventory, str(root / "inventory.py"))
    assert found.problems == []
    out = Path("build/rendered")
    return Project(root, str(root / "inventory.py"), out, found)
