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
from tests.e2e.fleet import PROJECT, SENTENCE, Fleet

Herd = Callable[..., str]


@pytest.fixture
def lab(make_fleet: Callable[..., Fleet]) -> Fleet:
    return make_fleet("mac1")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "fleet"


@pytest.fixture
def right(lab: Fleet, own: Path) -> Herd:
    """Runs the command of an install, in the repository; all that goes right prints."""

    def herd(*words: str, **environment: str) -> str:
        known = lab.environment | environment
        del known["API_KEYS"]
        done = preloaded.run(
            [str(PROJECT / "llama_herd.py"), *words],
            cwd=own if own.exists() else own.parent,
            env=known,
            timeout=240,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr if words[0] == "plan" else done.stdout

    return herd


def declared(lab: Fleet, own: Path, right: Herd) -> str:
    """From nothing to what can be deployed; the key."""
    right("init", "fleet")
    (own / "inventory.py").write_text(lab.lab.inventory.read_text())
    made = right("key", "me")
    (key,) = re.findall(r"^  (sk-herd-\S+)$", made, re.MULTILINE)
    right("lock")
    subprocess.run(["git", "add", "--all"], cwd=own, check=True)
    return str(key)


def test_from_init_to_an_answer(lab: Fleet, own: Path, right: Herd) -> None:
    """Every step is the command of an install, in the repository, which keeps nothing secret."""
    key = declared(lab, own, right)
    # Hosts have models of their own here, so that those of the toolkit are of no account.
    right("deploy", HERD_API_KEY=key)
    again = json.loads(right("deploy", "--json", HERD_API_KEY=key))["results"]["operations"]
    assert [each["name"] for each in again if each["success"]] == []

    assert lab.says(key=key) == SENTENCE
    assert SENTENCE in right("chat", "Hello", HERD_API_KEY=key)
    assert "serves      yes" in right("status", HERD_API_KEY=key)
    assert " ok " in right("verify", HERD_API_KEY=key)

    tracked = subprocess.run(["git", "ls-files"], cwd=own, capture_output=True, text=True)
    assert "models.lock" in tracked.stdout.split()
    assert "config.json" not in tracked.stdout.split()
    assert (own / "config.json").exists()
    assert not any(key in path.read_text(errors="replace") for path in files(own))


@pytest.mark.soak
def test_what_else_works_from_there(lab: Fleet, own: Path, right: Herd) -> None:
    key = declared(lab, own, right)

    assert "Run llama-swap" in right("plan", "--limit=mac1")
    right("deploy", HERD_API_KEY=key)
    assert SENTENCE in right("chat", "Hello", HERD_API_KEY=key)
    assert "me" in right("usage")
    right("facts")
    right("check-configs")


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
