"""One lab for the whole module under test, and a fresh Mac's state where a test changes it."""

from __future__ import annotations

import plistlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.lab import Lab, Mac


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab"), ["mac1", "mac2"]) as running:
        yield running


@pytest.fixture
def mac(lab: Lab) -> Iterator[Mac]:
    """mac1 with its facts put back and its jobs gone after the test."""
    mac = lab["mac1"]
    facts = Path(mac.facts_file)
    before = facts.read_bytes()
    yield mac
    facts.write_bytes(before)
    for agent in (mac.home / "Library/LaunchAgents").glob("*.plist"):
        agent.unlink()
    (mac.root / "private/var/db/com.apple.xpc.launchd/disabled.501.plist").unlink(missing_ok=True)
    mac.set(console=True)
    mac.reboot()


@pytest.fixture
def agent(mac: Mac) -> Callable[..., Path]:
    """Writes a LaunchAgent's property list and returns its path."""

    def write(label: str = "com.example.job", **keys: Any) -> Path:
        folder = mac.home / "Library/LaunchAgents"
        folder.mkdir(exist_ok=True)
        path = folder / f"{label}.plist"
        keys.setdefault("ProgramArguments", ["/bin/sleep", "1000"])
        path.write_bytes(plistlib.dumps({"Label": label, **keys}))
        path.chmod(0o644)
        return path

    return write


@pytest.fixture
def until() -> Callable[..., Any]:
    """Polls until a condition holds and returns its value."""

    def wait(condition: Callable[[], Any], seconds: float = 10) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, "it never happened"
            time.sleep(0.01)
        return value

    return wait
