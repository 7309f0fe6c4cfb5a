"""A herd in a repository of its own, from `init` to an answer, without a checkout around it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import preloaded
from tests.e2e.fleet import PROJECT, SENTENCE, Fleet, Run


def test_from_init_to_an_answer(make_fleet: Callable[..., Fleet], tmp_path: Path) -> None:
    """Every step is the command of an install, in the repository, which keeps nothing secret."""
    lab, own = make_fleet("mac1"), tmp_path / "fleet"

    def herd(*words: str, **environment: str) -> Run:
        known = lab.environment | environment
        del known["API_KEYS"]
        done = preloaded.run(
            [str(PROJECT / "llama_herd.py"), *words],
            cwd=own if own.exists() else tmp_path,
            env=known,
            timeout=240,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    def right(*words: str, **environment: str) -> str:
        run = herd(*words, **environment)
        assert run.code == 0, f"{words}: {run.out}{run.err}"
        return run.out

    right("init", "fleet")
    (own / "inventory.py").write_text(lab.lab.inventory.read_text())
    made = right("key", "me")
    (key,) = re.findall(r"^  (sk-herd-\S+)$", made, re.MULTILINE)
    right("lock")
    subprocess.run(["git", "add", "--all"], cwd=own, check=True)

    # Hosts have models of their own here, so that those of the toolkit are of no account.
    assert "Run llama-swap" in right("plan", "--limit=mac1") + herd("plan").err
    right("deploy", HERD_API_KEY=key)
    again = json.loads(right("deploy", "--json", HERD_API_KEY=key))["results"]["operations"]
    assert [each["name"] for each in again if each["success"]] == []

    assert lab.says(key=key) == SENTENCE
    assert SENTENCE in right("chat", "Hello", HERD_API_KEY=key)
    assert "serves      yes" in right("status", HERD_API_KEY=key)
    assert " ok " in right("verify", HERD_API_KEY=key)
    assert "me" in right("usage")
    right("facts")
    right("check-configs")

    tracked = subprocess.run(["git", "ls-files"], cwd=own, capture_output=True, text=True)
    assert "models.lock" in tracked.stdout.split()
    assert "config.json" not in tracked.stdout.split()
    assert (own / "config.json").exists()
    assert not any(key in path.read_text(errors="replace") for path in files(own))


@pytest.mark.soak
def test_by_make_from_the_toolkit(make_fleet: Callable[..., Fleet], tmp_path: Path) -> None:
    """`make -C` and INVENTORY are the same: what make calls, from another directory."""
    lab, own = make_fleet("mac1"), tmp_path / "fleet"
    inventory = os.path.relpath(own / "inventory.py", PROJECT)

    words = [sys.executable, "-m", "herd", "init", "--", str(own)]
    assert preloaded.run(words, cwd=PROJECT, env=lab.environment, timeout=60).returncode == 0
    (own / "inventory.py").write_text(lab.lab.inventory.read_text())
    assert lab.lock(Path(inventory)).code == 0
    done = lab.pyinfra("-y", "--", inventory, "deploy.py")

    assert done.code == 0, done.err
    assert lab.says() == SENTENCE
    assert (own / "models.lock").exists()


def files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]
