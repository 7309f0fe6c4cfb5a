"""llama-swap and llama-server answer nobody but the proxy and our scripts, by a key of the Mac."""

import re
import stat
from pathlib import Path

import httpx2
import pytest

from tests.e2e.fleet import SENTENCE, Fleet

LABEL = "com.moonspirit.llama-swap"


@pytest.fixture(scope="module")
def fleet(deployed: Fleet) -> Fleet:
    """With a model in memory."""
    assert deployed.says() == SENTENCE
    return deployed


def root(fleet: Fleet) -> Path:
    return fleet["mac1"].home / "llama-swap"


def key(fleet: Fleet) -> str:
    path = root(fleet) / "llama-swap.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = path.read_text().strip()
    assert re.fullmatch("[0-9a-f]{64}", found)
    return found


def asked(fleet: Fleet, port: str, path: str, key: str = "", method: str = "GET") -> int:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url = f"http://127.0.0.1:{fleet['mac1'].ports[port]}{path}"
    return httpx2.request(method, url, headers=headers, timeout=30).status_code


@pytest.mark.parametrize(
    ("port", "method", "path"),
    [
        ("llama_swap", "GET", "/unload"),
        ("llama_swap", "GET", "/running"),
        ("llama_swap", "GET", "/ui/"),
        ("llama_swap", "GET", "/logs"),
        ("llama_swap", "POST", "/api/models/unload"),
        ("llama_swap", "GET", "/upstream/recite/props"),
        ("llama_swap", "POST", "/v1/chat/completions"),
        ("start", "POST", "/v1/chat/completions"),
        ("start", "POST", "/v1/completions"),
    ],
)
def test_nobody_is_answered_without_the_key(
    fleet: Fleet, port: str, method: str, path: str
) -> None:
    """A page of a browser and another account know none, and cannot guess it."""
    for shown in ("", "0" * 64):
        assert asked(fleet, port, path, shown, method) == 401


def test_the_key_is_in_its_file_and_nowhere_else(fleet: Fleet) -> None:
    secret, mac = key(fleet), fleet["mac1"]
    places = [
        path
        for top in (root(fleet), mac.home / "Library")
        for path in top.rglob("*")
        if path.is_file() and path.suffix != ".gguf" and secret.encode() in path.read_bytes()
    ]
    again = fleet.deploy("-vvv", "--diff")
    shown = mac.launchd.print(f"gui/501/{LABEL}")
    running = mac.run("ps -ww -axo args=").stdout

    assert places == [root(fleet) / "llama-swap.key"]
    for text in (again.err, fleet.herd("status").out, fleet.herd("logs").out, shown, running):
        assert text
        assert secret not in text


@pytest.mark.soak
def test_it_stays_from_deploy_to_deploy(fleet: Fleet) -> None:
    before, job = key(fleet), fleet["mac1"].launchd.job(LABEL)
    assert fleet.deploy().code == 0

    assert key(fleet) == before
    assert fleet["mac1"].launchd.job(LABEL) == job


# What else is no secret: tests/operations/test_launchd.py
@pytest.mark.soak
@pytest.mark.parametrize("how", ["rm", "chmod 644", ": >"])
def test_another_is_made_where_it_was_lost_or_could_be_read(fleet: Fleet, how: str) -> None:
    """To remove it and to deploy is how it is rotated."""
    before = key(fleet)
    fleet["mac1"].run(f"{how} '{root(fleet)}/llama-swap.key'", check=True)
    fleet.settles()

    assert key(fleet) != before
    assert asked(fleet, "llama_swap", "/running", before) == 401
    assert asked(fleet, "llama_swap", "/running", key(fleet)) == 200
    assert fleet.says() == SENTENCE
    assert fleet.herd("unload").code == 0
    assert fleet.herd("status").code == 0


@pytest.mark.soak
def test_a_stack_in_a_terminal_gets_another_too(fleet: Fleet) -> None:
    data = {"launchd_autostart": "terminal"}
    try:
        fleet.settles(mac1=data)
        before = key(fleet)
        (root(fleet) / "llama-swap.key").unlink()
        fleet.settles(mac1=data)

        assert key(fleet) != before
        assert fleet.says() == SENTENCE
    finally:
        fleet.settles()
