"""What plain HTTP does not give comes by the Hub's own client: the real `hf`, and the lab's Hub."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.test_hub import Hub

REPO, PATH = "me/big-GGUF", "a folder/m-Q4_K_M.gguf"
WEIGHTS = bytes(range(256)) * 8192
HF = str(Path(sys.executable).with_name("hf"))


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    file = tmp_path / "hub" / REPO / PATH
    file.parent.mkdir(parents=True)
    file.write_bytes(WEIGHTS)
    hub = Hub(tmp_path / "hub")
    yield hub
    hub.stop()


def document(hub: Hub, target: Path, client: str) -> str:
    commit = hub.api.repo_info(REPO).sha
    file = {
        **{"path": PATH, "size": len(WEIGHTS), "sha256": hashlib.sha256(WEIGHTS).hexdigest()},
        "url": f"{hub.url}/{REPO}/resolve/{commit}/{PATH.replace(' ', '%20')}",
    }
    models = [{"name": "big", "directory": str(target), "files": [file]}]
    job = {"connections": 1, "origin": "fetched", "token": None, "peers": None, "client": client}
    return json.dumps({**job, "models": models, "patience": {"pause": 0.01}})


def fetch(hub: Hub, target: Path, client: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "fetcher"],
        input=document(hub, target, client),
        env={**os.environ, "HF_HOME": str(target.parent / "home")},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_it_fetches_what_is_not_given_plainly(hub: Hub, tmp_path: Path) -> None:
    target = tmp_path / "models/big-GGUF"
    hub.faults({"path": f"{REPO}/*", "times": 1, "status": 400})

    done = fetch(hub, target, HF)

    assert (done.returncode, done.stderr) == (0, "")
    told = "does not give it over plain HTTP (400): fetching it by `hf download`"
    assert f"{PATH}: the Hub {told}" in done.stdout
    assert (target / PATH).read_bytes() == WEIGHTS
    assert [path.name for path in target.rglob("*") if "herd-" in str(path)] == []
    assert list(target.rglob("*.part")) == []
    before = len(hub.stats()["log"])
    assert fetch(hub, target, HF).returncode == 0
    assert len(hub.stats()["log"]) == before + 1  # ours, for the commit


def test_what_it_cannot_fetch_is_told_with_its_last_words(hub: Hub, tmp_path: Path) -> None:
    target = tmp_path / "models/big-GGUF"
    hub.faults({"path": f"{REPO}/*", "status": 400})

    done = fetch(hub, target, HF)

    assert done.returncode == 1
    assert f"{PATH}: hf says " in done.stderr
    assert "run `hf download me/big-GGUF 'a folder/m-Q4_K_M.gguf' --revision " in done.stderr
    assert not (target / PATH).exists()


def test_where_it_is_not_installed_the_command_is_told(hub: Hub, tmp_path: Path) -> None:
    hub.faults({"path": f"{REPO}/*", "status": 400})

    done = fetch(hub, tmp_path / "models/big-GGUF", str(tmp_path / "no/hf"))

    assert done.returncode == 1
    assert "No such file or directory" in done.stderr
    assert "on the Mac; a deploy adopts it" in done.stderr


def test_bytes_that_are_wrong_are_not_taken(hub: Hub, tmp_path: Path) -> None:
    target, client = tmp_path / "models/big-GGUF", tmp_path / "hf"
    client.write_text('#!/bin/sh\nmkdir -p "$7/a folder" && echo wrong >"$7/$3"\n')
    client.chmod(0o755)
    hub.faults({"path": f"{REPO}/*", "status": 400})

    done = fetch(hub, target, str(client))

    assert done.returncode == 1
    assert not (target / PATH).exists()


def test_it_ends_with_the_run(hub: Hub, tmp_path: Path) -> None:
    client, note = tmp_path / "hf", tmp_path / "pid"
    client.write_text(f"#!/bin/sh\necho $$ >'{note}.new'; mv '{note}.new' '{note}'\nsleep 600\n")
    client.chmod(0o755)
    hub.faults({"path": f"{REPO}/*", "status": 400})
    running = subprocess.Popen(
        [sys.executable, "-m", "fetcher"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert running.stdin
    running.stdin.write(document(hub, tmp_path / "models/big-GGUF", str(client)).encode())
    running.stdin.close()
    _until(note.exists)

    running.terminate()

    running.wait(60)
    group = int(note.read_text())
    _until(lambda: not _is_alive(group))
    assert not list((tmp_path / "models").rglob("herd-*"))


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def _is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
