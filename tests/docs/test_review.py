"""docs/review.md has every rule, and a forge and a commit run what it says."""

import re
import subprocess
from typing import Any

import yaml

from herd.checks import RULES
from herd.core.mac import facts_lock
from tests.core.samples import ROOT

GUIDE = (ROOT / "docs/review.md").read_text()


def loaded(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


def test_every_rule_is_in_the_table_and_no_other() -> None:
    table = GUIDE.partition("| Rule | What it asks |")[2].partition("\n\n")[0]

    assert set(re.findall(r"^\| `([a-z-]+)`", table, re.MULTILINE)) == set(RULES)


def test_the_example_of_defaults_is_one() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)

    assert facts_lock.parse(example).of("any", "me").home == "/Users/llm"


def test_forge_and_commit_run_the_same_command() -> None:
    (job,) = loaded(".github/workflows/configs.yml")["jobs"].values()
    runs = [step["run"] for step in job["steps"] if "run" in step]
    (hook,) = loaded(".pre-commit-config.yaml")["repos"][0]["hooks"]

    assert hook["entry"] == "make check-configs"
    assert any(run.startswith("make check-configs") for run in runs)
    assert any("make --silent render-diff" in run for run in runs)


def test_make_has_every_command_of_the_guide() -> None:
    targets = set(re.findall(r"`make ([a-z-]+)", GUIDE))
    for target in targets:
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
        assert f"python -m herd {target} " in done.stdout, target
