"""A slip in the code of a herd is told with its file and line, by a deploy, a verb and a check."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import preloaded
from tests.core.samples import ROOT


@pytest.fixture
def herd(tmp_path: Path) -> Path:
    """Its inventory; another directory than that of the commands."""
    (tmp_path / "group_data").mkdir()
    (tmp_path / "group_data/all.py").write_text('models = {"a": {"repo": "me/a-GGUF"}}\n')
    (tmp_path / "inventory.py").write_text('macs = ["mac1.local"]\n')
    return tmp_path / "inventory.py"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return preloaded.run([sys.executable, "-m", *words], cwd=ROOT, env=dict(os.environ), timeout=60)


SLIPS = {
    "group_data that does not end": ("group_data/all.py", "x = (", "SyntaxError: '(' was never"),
    "group_data that needs a module": ("group_data/all.py", "import gone", "ModuleNotFoundError"),
    "an inventory that does not end": ("inventory.py", "x = (", "SyntaxError: '(' was never"),
    "an inventory with a slip": ("inventory.py", "x = [mac1]", "NameError: name 'mac1'"),
    "text for a host's data": (
        "inventory.py",
        'x = [("mac6.local", "oops")]',
        "what is beside 'mac6.local' is no dictionary",
    ),
    "a number for a host's data": (
        "inventory.py",
        'x = [("mac6.local", 5)]',
        "what is beside 'mac6.local' is no dictionary",
    ),
    "a comma in place of data": (
        "inventory.py",
        'x = [("mac6.local",)]',
        "what is beside 'mac6.local' is no dictionary",
    ),
}


@pytest.mark.parametrize("slip", SLIPS.values(), ids=list(SLIPS))
def test_a_slip_has_its_file_and_line_and_a_mend(herd: Path, slip: tuple[str, str, str]) -> None:
    name, text, words = slip
    file = herd.parent / name
    file.write_text(f"{file.read_text()}{text}\n")

    for command in (
        ("pyinfra", "--dry", "--", str(herd), "deploy.py"),
        ("herd", "status", f"--inventory={herd}"),
    ):
        done = run(*command)
        said = done.stdout + done.stderr

        assert done.returncode == 1
        (line,) = [each for each in said.splitlines() if "cannot be read" in each]
        assert f"{file} cannot be read: {words}" in line
        assert " (line 2). Fix: " in line
        assert "Traceback" not in said
        assert "bug report" not in said


def test_a_check_points_at_the_line_in_another_directory(herd: Path) -> None:
    with (herd.parent / "group_data/all.py").open("a") as file:
        file.write("x = (\n")
    sarif = herd.parent / "found.sarif"

    done = run("herd", "check-configs", f"--inventory={herd}", f"--sarif={sarif}")

    assert done.returncode == 1
    assert f"{herd.parent}/group_data/all.py:2: error: [settings]" in done.stdout
    (result,) = json.loads(sarif.read_text())["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "group_data/all.py"
    assert place["region"]["startLine"] == 2


@pytest.mark.parametrize(
    "command", [("herd", "status", "--inventory="), ("pyinfra", "--dry", "--", "", "deploy.py")]
)
def test_no_inventory_is_called_none(command: tuple[str, ...]) -> None:
    done = run(*command)

    assert done.returncode == 1
    assert "no inventory is named" in done.stdout + done.stderr
    assert "cannot be read" not in done.stdout + done.stderr


def test_data_that_pyinfra_refuses_has_its_host_in_verbs_and_its_line_in_a_check(
    herd: Path,
) -> None:
    herd.write_text('macs = ["mac1.local",\n  ("mac2.local", {"ssh_user": 5})]\n')

    status = run("herd", "status", f"--inventory={herd}")
    checked = run("herd", "check-configs", f"--inventory={herd}")

    assert (status.returncode, checked.returncode) == (1, 1)
    assert "mac2.local: ssh_user, from host mac2.local of the inventory" in status.stderr
    assert f"{herd}:2: error: [settings]\n    pyinfra does not take this ssh_user" in checked.stdout
    assert "[models-lock]" in checked.stdout
