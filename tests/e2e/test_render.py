"""A rendering has the very bytes that a deploy writes, without a connection."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.fleet import Fleet, Run
from tests.workstation.test_certificate_files import pair

# What programs make on a Mac, what is fetched, and what lasts for one run only.
MADE = (
    "models/",
    "peers.json",
    "llama-swap.key",
    "proxy/env-",
    "answered/",
    "last-good/",
    "usage.db",
    "last-deploy.json",
    "installed-packages",
    "llama-swap.log",
    "proxy.log",
)
ANNA = {
    "name": "anna",
    "sha256": "3c9d6f1a0b7e4852d1c6f0a9e8b7d6c5f4e3a2b1908172635445362718fa0b1c",
}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two Macs that differ in all that changes a file, deployed to."""
    fleet = Fleet(tmp_path_factory.mktemp("lab"), "mac1", "mac2")
    pair(fleet.lab.directory, "mac2")
    run = fleet.deploy(**settings(fleet))
    assert run.code == 0, run.err
    yield fleet
    fleet.stop()


def settings(fleet: Fleet) -> dict[str, dict[str, Any]]:
    recite = {"preload": True, "aliases": ["echo"], "extra_args": ["--metrics"]}
    return {
        "mac1": {"api_keys": [ANNA], "models": {"recite": recite}},
        "mac2": {
            "launchd_autostart": "terminal",
            "llama_swap_watch_config": False,
            "proxy_tls_certificate": str(fleet.lab.directory / "mac2.crt"),
            "proxy_tls_key": str(fleet.lab.directory / "mac2.key"),
        },
    }


def offline(fleet: Fleet, verb: str, *words: str) -> Run:
    """A verb where nothing can be reached and nobody has a key."""
    return fleet.herd(
        verb,
        *words,
        inventory=fleet.lab.directory / "inventory-of-a-test.py",
        **{"API_KEYS": "", "HF_ENDPOINT": "http://127.0.0.1:9"},
    )


def same_bytes_under_the_same_modes(fleet: Fleet, directory: Path) -> None:
    """Of a deploy, and of a rendering without a connection."""
    inventory = fleet.lab.directory / "inventory-of-a-test.py"
    asked = fleet.herd("facts", inventory=inventory)
    assert asked.code == 0, asked.err
    for mac in fleet.lab.macs.values():
        mac.clear_log()
    done = offline(fleet, "render", "--out", str(directory / "out"))
    assert done.code == 0, done.err

    assert all(mac.log == [] for mac in fleet.lab.macs.values())
    for name, mac in fleet.lab.macs.items():
        root = directory / "out" / name
        rows = (root / "MANIFEST").read_text().splitlines()
        split = [row.split(" ", 2) for row in rows if row[:3].isdigit()]
        modes = {path: (mode, digest) for mode, digest, path in split}
        compared = 0
        for path, (mode, digest) in modes.items():
            there = Path(path)
            assert there.is_file(), path
            assert f"{stat.S_IMODE(there.stat().st_mode):o}" == mode, path
            if digest != "secret":
                assert (root / path.lstrip("/")).read_bytes() == there.read_bytes(), path
                compared += 1
        assert compared > 45

        stack, agents = mac.home / "llama-swap", mac.home / "Library/LaunchAgents"
        found = {
            str(p)
            for top in (stack, agents)
            for p in top.rglob("*")
            if p.is_file() and p.suffix != ".pyc"
        }
        known = {p for p in found if not p.removeprefix(f"{stack}/").startswith(MADE)}
        assert known == set(modes)


def test_deploy_and_rendering_write_the_same_bytes(deployed: Fleet, tmp_path: Path) -> None:
    """Of the defaults; and no check finds a fault in them."""
    deployed.inventory(mac1={})
    same_bytes_under_the_same_modes(deployed, tmp_path)
    done = offline(deployed, "check-configs", "--out", str(tmp_path / "checked"))

    (deployed.lab.directory / "facts.lock").unlink()
    assert done.code == 0, done.out + done.err
    assert "nothing is wrong" in done.out


@pytest.mark.soak
def test_whatever_is_declared_is_written_and_rendered(two: Fleet, tmp_path: Path) -> None:
    two.inventory(**settings(two))
    same_bytes_under_the_same_modes(two, tmp_path)


@pytest.mark.soak
def test_asking_again_changes_nothing_and_a_mac_that_is_gone_is_forgotten(two: Fleet) -> None:
    inventory = two.inventory(**settings(two))
    first = two.herd("facts", inventory=inventory)
    path = two.lab.directory / "facts.lock"
    before = path.read_text()
    again = two.herd("facts", "--limit", "mac1", inventory=inventory)

    assert (first.code, again.code) == (0, 0)
    assert again.out == "[mac1] as it was\n"
    assert path.read_text() == before
    said = json.loads(before)
    assert set(said["hosts"]) == {"mac1", "mac2"}
    assert said["hosts"]["mac1"]["memory"] == 128 << 30
    assert len(said["llama_servers"]) == 1

    scope: dict[str, Any] = {}
    exec(inventory.read_text(), scope)
    only = two.lab.directory / "only.py"
    only.write_text(f"macs = {scope['macs'][:1]!r}\n")
    assert two.herd("facts", inventory=only).code == 0
    assert set(json.loads(path.read_text())["hosts"]) == {"mac1"}


@pytest.mark.soak
def test_the_deployed_configuration_has_no_fault(two: Fleet, tmp_path: Path) -> None:
    two.herd("facts", inventory=two.inventory(**settings(two)))
    done = offline(two, "check-configs", "--out", str(tmp_path / "out"))

    assert done.code == 0, done.out + done.err
    assert "nothing is wrong" in done.out
