"""Model files: many models, adopted, resumed, repaired, gated; nothing is fetched in vain."""

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import processes, tiny_parts
from lab.reciter import write_model
from tests.e2e.fleet import KEY, REPO, SENTENCE, TOKEN, Fleet, Run, plain, until

FETCH = "Models | Fetch the models' files"
CONFIG = "llama-swap | Write config.yaml"
VERIFY = "Verify | Wait until the stack serves"

TWO, SINGLE, BIG, GATED = "lab/two-GGUF", "lab/single-GGUF", "lab/big-GGUF", "lab/gated-GGUF"
MIB = 1 << 20
MANY = {
    "q4": {"repo": TWO, "include": ["two-Q4_K_M/*"], "ctx_size": 256},
    "q8": {"repo": TWO, "include": ["two-Q8_0/*"], "ctx_size": 256},
    "single": {"repo": SINGLE, "include": ["single-Q4_0.gguf"], "ctx_size": 256},
}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fleet, Run, dict[str, int]]]:
    """mac1 with four models, a deploy to it, and its bytes; mac2 with a hand-run install."""
    fleet = Fleet(tmp_path_factory.mktemp("lab"), "mac1", "mac2")
    hub = fleet.lab.hub_root
    for quantisation in ("Q4_K_M", "Q8_0", "F16"):
        write_model(hub / TWO / f"two-{quantisation}", f"two-{quantisation}")
    tiny_parts.write_whole(hub / SINGLE / "single-Q4_0.gguf")
    (hub / SINGLE / "README.md").write_text("# A model\n")
    write_model(hub / BIG, "big", pad_bytes=6 * MIB)
    write_model(hub / GATED, "gated", pad_bytes=MIB)
    (hub / GATED / ".gated").write_text(TOKEN)
    by_hand = models(fleet, "mac2") / "recite-GGUF"
    shutil.copytree(hub / REPO, by_hand)
    (by_hand / ".cache/huggingface").mkdir(parents=True)
    (by_hand / ".cache/huggingface/.gitignore").write_text("*")
    fleet.hub("reset")
    run = fleet.deploy("--limit", "mac1", mac1={"models": MANY})
    yield fleet, run, fleet.hub()["files"]
    fleet.stop()


@pytest.fixture
def fleet(first: tuple[Fleet, Run, dict[str, int]]) -> Fleet:
    """The same, with a Hub that has forgotten what it sent."""
    first[0].hub("reset")
    return first[0]


def models(fleet: Fleet, name: str = "mac1") -> Path:
    return fleet[name].home / "llama-swap/models"


def deploy(fleet: Fleet, **extra: Any) -> Run:
    """To mac1 only, with further models beside those that it has."""
    return fleet.deploy("--limit", "mac1", mac1={"models": {**MANY, **extra}})


def sizes(fleet: Fleet, repo: str) -> dict[str, int]:
    """Bytes of the files on the Hub."""
    root = fleet.lab.hub_root / repo
    files = [file for file in root.rglob("*") if file.is_file() and file.name[0] != "."]
    return {f"{repo}/{file.relative_to(root).as_posix()}": file.stat().st_size for file in files}


@pytest.mark.parametrize("model", ["recite", *MANY])
def test_each_of_several_models_is_served(
    first: tuple[Fleet, Run, dict[str, int]], model: str
) -> None:
    fleet, run, _ = first
    assert run.code == 0, run.err

    assert fleet.says(model=model) == SENTENCE


def test_only_what_is_included_was_fetched_and_only_once(
    first: tuple[Fleet, Run, dict[str, int]],
) -> None:
    fleet, run, sent = first
    wanted = {
        path: size
        for repo in (REPO, TWO, SINGLE)
        for path, size in sizes(fleet, repo).items()
        if "F16" not in path and path.endswith(".gguf")
    }

    assert sent == wanted
    assert FETCH in run.changed("mac1")


@pytest.mark.soak
def test_what_a_hand_run_install_has_is_adopted(fleet: Fleet) -> None:
    """Hashed, and not fetched at all."""
    run = fleet.deploy("--limit", "mac2", mac1={"models": MANY})

    assert run.code == 0, run.err
    assert FETCH in run.changed("mac2")
    assert fleet.hub()["files"] == {}
    receipts = (models(fleet, "mac2") / "recite-GGUF").rglob("*.receipt")
    assert {path.read_text().split()[-1] for path in receipts} == {"adopted"}
    assert fleet.says("mac2") == SENTENCE


def is_exact(fleet: Fleet, repo: str) -> bool:
    """Whether a repository's splits are on mac1, byte for byte."""
    directory = models(fleet) / repo.rpartition("/")[2]
    splits = list((fleet.lab.hub_root / repo).glob("*.gguf"))
    return all(file.read_bytes() == (directory / file.name).read_bytes() for file in splits)


def under_way(fleet: Fleet, directory: str) -> int:
    """Bytes that have come of a second split, as its journal tells."""
    journals = models(fleet).glob(f"{directory}/.herd/*00002*.pieces")
    return sum(int(json.loads(path.read_text())["have"]) for path in journals)


def aside(fleet: Fleet) -> list[Path]:
    """What was set aside on mac1, and is removed by this."""
    found = list(models(fleet).rglob("*.set-aside-*"))
    contents = [path for path in found if path.suffix != ".receipt"]
    for path in found:
        path.rename(fleet.lab.directory / path.name)
    return [fleet.lab.directory / path.name for path in contents]


def corrupt(path: Path) -> None:
    """As a disk does: neither size nor time nor inode tells."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(before.st_size // 2)
        byte = file.read(1)
        file.seek(before.st_size // 2)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_what_a_run_that_changes_nothing_asks_for_models_is_one_command(fleet: Fleet) -> None:
    """Of the Mac, and nothing of the Hub: neither this workstation's run, nor a Mac that has its
    files."""
    fleet["mac1"].clear_log()
    data = {"mac1": {"models": MANY}}
    away = {"HF_ENDPOINT": "http://127.0.0.1:1"}
    run = fleet.deploy("--limit", "mac1", environment=away, **data)

    assert run.code == 0, run.err
    assert run.changed("mac1") == set()
    sent = [text for kind, text in fleet["mac1"].log if kind == "exec"]
    directory = str(models(fleet))
    assert len([text for text in sent if directory in text]) == 1
    assert fleet.hub()["requests"] == 0


@pytest.mark.soak
def test_a_corrupted_byte_on_disk_is_found_and_mended(fleet: Fleet) -> None:
    split = models(fleet) / "recite-GGUF/recite-00002-of-00003.gguf"
    corrupt(split)
    inventory = fleet.inventory(mac1={"models": MANY})

    run = fleet.herd("verify-models", "--limit", "mac1", inventory=inventory)

    assert run.code == 0, run.err
    assert re.search(rf"{split.name}: wrong, its SHA-256 is \w+, not \w+: set aside as", run.out)
    assert is_exact(fleet, REPO)
    assert fleet.hub()["files"] == {f"{REPO}/{split.name}": split.stat().st_size}
    assert len(aside(fleet)) == 1
    assert deploy(fleet).changed("mac1") == set()


@pytest.mark.soak
def test_a_corrupted_byte_on_the_wire_is_found_and_mended(fleet: Fleet) -> None:
    split = models(fleet) / "recite-GGUF/recite-00003-of-00003.gguf"
    split.unlink()
    fleet.hub("faults", {"path": f"{REPO}/{split.name}", "corrupt": 1000, "times": 1})
    inventory = str(fleet.inventory(mac1={"models": MANY}))

    run = fleet.pyinfra("-y", "--limit", "mac1", inventory, "deploy.py")

    assert run.code == 0, run.err
    assert f"{split.name}: arrived wrong, its SHA-256 is" in plain(run.out + run.err)
    assert is_exact(fleet, REPO)
    assert fleet.hub()["files"] == {f"{REPO}/{split.name}": 2 * split.stat().st_size}


@pytest.mark.soak
def test_a_new_version_is_served_once_it_is_whole_and_the_old_one_until_then(fleet: Fleet) -> None:
    """The names are the same; llama-swap loads it anew. Until the lock moves on, nothing does."""
    repo = "lab/next-GGUF"
    write_model(fleet.lab.hub_root / repo, "next")
    model = {"next": {"repo": repo, "ctx_size": 256}}
    assert deploy(fleet, **model).code == 0
    old = {path.name: path.read_bytes() for path in models(fleet).glob("next-GGUF/*.gguf")}
    assert fleet.says(model="next") == SENTENCE
    write_model(fleet.lab.hub_root / repo, "next", pad_bytes=MIB)
    locked = fleet.lock(fleet.inventory(mac1={"models": {**MANY, **model}}), "next")
    fault = {"path": f"{repo}/*00003*", "on": "resolve", "status": 404, "times": 1}
    fleet.hub("faults", fault)

    failed = deploy(fleet, **model)
    between = {path.name: path.read_bytes() for path in models(fleet).glob("next-GGUF/*.gguf")}
    said = fleet.says(model="next")
    run = deploy(fleet, **model)

    said_of_it = locked.out.splitlines()[0]
    assert re.fullmatch(r"next: changed: commit \w{12} -> \w{12}, 3 of 3 files .*", said_of_it)
    assert failed.code == 1
    assert between == old
    assert said == SENTENCE
    assert run.code == 0, run.err
    assert {FETCH, CONFIG} <= run.changed("mac1")
    assert is_exact(fleet, repo)
    assert fleet.says(model="next") == SENTENCE
    assert aside(fleet) == []
    assert deploy(fleet).code == 0


@pytest.mark.soak
def test_models_that_are_not_declared_are_listed_and_go_when_told(fleet: Fleet) -> None:
    repo, mine = "lab/gone-GGUF", models(fleet) / "mine-GGUF/mine.gguf"
    write_model(fleet.lab.hub_root / repo, "gone")
    mine.parent.mkdir()
    with mine.open("wb") as file:
        file.truncate(200 * MIB)
    assert deploy(fleet, gone={"repo": repo, "ctx_size": 256}).code == 0

    listed = deploy(fleet)
    data = {"models": MANY, "models_prune": True}
    pruned = fleet.deploy("--limit", "mac1", mac1=data)
    again = fleet.deploy("--limit", "mac1", mac1=data)

    said = plain(listed.err)
    assert re.search(r"not declared: gone-GGUF: 0\.\d MiB that models_prune = True removes", said)
    assert "not declared: mine-GGUF: 0.2 GiB that no deploy fetched" in said
    assert re.search(r"disk: +\d+\.\d MiB of models, 858\.3 GiB free", said)
    assert pruned.code == 0, pruned.err
    assert not (models(fleet) / "gone-GGUF").exists()
    assert "gone-GGUF" not in plain(pruned.err)
    assert mine.exists()
    assert again.changed("mac1") == set()
    assert fleet.says() == SENTENCE
    mine.unlink()


@pytest.mark.soak
def test_what_is_wrong_is_replaced_and_leftovers_go(fleet: Fleet) -> None:
    """But not a transfer of somebody's that is under way, nor anything else of theirs."""
    mine = models(fleet) / "recite-GGUF"
    split = mine / "recite-00003-of-00003.gguf"
    whole = split.read_bytes()
    split.write_bytes(whole[:-1])
    download = mine / ".cache/huggingface/download"
    download.mkdir(parents=True)
    old = download / "abc.0123.incomplete"
    stale = mine / "recite-00002-of-00003.gguf.0123456789ab.part"
    fresh, other = download / "def.4567.incomplete", mine / "notes.part"
    for file in (old, stale, fresh, other):
        file.write_bytes(b"bytes")
    os.utime(old, (time.time() - 86400,) * 2)

    run = deploy(fleet)

    assert run.code == 0, run.err
    assert run.changed("mac1") == {FETCH}
    assert split.read_bytes() == whole
    assert (old.exists(), stale.exists(), fresh.exists(), other.exists()) == (
        *(False, False),
        *(True, True),
    )
    assert fleet.hub()["files"] == {f"{REPO}/{split.name}": len(whole)}
    assert [path.read_bytes() for path in aside(fleet)] == [whole[:-1]]
    for file in (fresh, other):
        file.unlink()


@pytest.mark.soak
def test_trouble_is_ridden_out_with_visible_progress(fleet: Fleet) -> None:
    """Too many requests, a server's error, a dropped connection, a slow line."""
    second, third = f"{BIG}/big-00002-of-00003.gguf", f"{BIG}/big-00003-of-00003.gguf"
    size = sizes(fleet, BIG)
    fleet.hub(
        "faults",
        [
            {"path": second, "status": 429, "times": 1},
            {"path": second, "drop_after": 300_000, "times": 1},
            {"path": second, "on": "resolve", "status": 500, "times": 1},
            {"path": third, "rate": MIB / 6, "times": 4},
        ],
    )
    data = {"models": {**MANY, "big": {"repo": BIG, "ctx_size": 256}}}
    inventory = fleet.inventory(mac1=data)

    run = fleet.pyinfra("-y", "--limit", "mac1", str(inventory), "deploy.py")

    text = plain(run.out + run.err)
    assert run.code == 0, text
    assert re.search(r"big: \d+%, \d+\.\d MiB of \d+\.\d MiB, \d+\.\d MiB/s, 0:00:\d\d left", text)
    assert "HTTP 429), resuming" in text
    assert "HTTP 500), resuming" in text
    assert "big: complete, " in text
    assert fleet.hub()["files"] == size
    assert fleet.says(model="big") == SENTENCE


@pytest.mark.soak
def test_gated_repository_without_a_token_says_what_it_wants(fleet: Fleet) -> None:
    run = deploy(fleet, gated={"repo": GATED, "ctx_size": 256})

    assert run.code == 1
    assert "it wants a token with access (HF_TOKEN on the workstation)" in plain(run.err)
    assert "Traceback" not in run.err
    assert fleet.hub()["files"] == {}


@pytest.mark.soak
@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="only Linux shows environments")
def test_a_token_opens_it_and_shows_nowhere(fleet: Fleet) -> None:
    """Not in a command line, an environment, a log, a file, or pyinfra's output at its fullest."""
    fleet.hub("faults", {"path": f"{GATED}/*00002*", "rate": MIB / 4, "times": 1})
    gated = {"models": {**MANY, "gated": {"repo": GATED, "ctx_size": 256}}}
    mac = fleet["mac1"]
    mac.clear_log()
    deploying = fleet.begin(
        *("-vvv", "--debug-all", "--limit", "mac1"), environment={"HF_TOKEN": TOKEN}, mac1=gated
    )
    until(lambda: under_way(fleet, "gated-GGUF"), 60)
    seen = b""
    for pid in processes.of_mac(str(mac.root)):
        for shown in ("cmdline", "environ"):
            seen += Path(f"/proc/{pid}/{shown}").read_bytes()
    transferring = under_way(fleet, "gated-GGUF")

    assert deploying.wait() == 0, deploying.out
    assert transferring, "the transfer was over too soon to look at it"
    assert b"fetcher.pyz" in seen
    assert TOKEN.encode() not in seen
    assert TOKEN not in deploying.out
    assert KEY not in deploying.out
    assert all(TOKEN not in text for _, text in mac.log)
    written = [file for file in mac.home.rglob("*") if file.is_file() and file.suffix != ".gguf"]
    assert [file for file in written if TOKEN.encode() in file.read_bytes()] == []
    assert fleet.says(model="gated") == SENTENCE


@pytest.mark.soak
def test_disk_too_small_is_refused_before_the_first_byte(fleet: Fleet) -> None:
    write_model(fleet.lab.hub_root / "lab/more-GGUF", "more")
    fleet["mac1"].set(disk_free_kb=10 << 20)
    try:
        run = deploy(fleet, more={"repo": "lab/more-GGUF"})
    finally:
        fleet["mac1"].set(disk_free_kb=900000000)

    assert run.code == 1
    text = plain(run.err)
    assert "are still to be fetched and 10.0 GiB stay in reserve, but 10.0 GiB are free" in text
    assert fleet.hub()["files"] == {}
    assert not (models(fleet) / "more-GGUF").exists()


@pytest.mark.soak
def test_full_disk_is_no_reason_to_refuse_when_nothing_is_to_be_fetched(fleet: Fleet) -> None:
    fleet["mac1"].set(disk_free_kb=1 << 20)
    try:
        run = deploy(fleet)
    finally:
        fleet["mac1"].set(disk_free_kb=900000000)

    assert run.code == 0, run.err


@pytest.mark.soak
def test_one_name_may_be_another_quantisation_on_another_mac(fleet: Fleet) -> None:
    """And one lock has both."""
    smaller = {"q8": {"repo": TWO, "include": ["two-Q4_K_M/*"], "ctx_size": 256}}
    declared = {"mac1": {"models": MANY}, "mac2": {"models": smaller}}

    run = fleet.deploy(**declared)

    assert run.code == 0, run.err
    there = {path.name for path in (models(fleet, "mac2") / "two-GGUF").iterdir()}
    assert there == {".herd", "two-Q4_K_M"}
    assert fleet.says("mac2", model="q8") == SENTENCE


@pytest.mark.soak
def test_a_new_commit_brings_its_files_and_leaves_no_part_of_the_old(fleet: Fleet) -> None:
    """The transfer of one commit is cut off, and the repository moves on."""
    repo = "lab/moving-GGUF"
    write_model(fleet.lab.hub_root / repo, "moving", pad_bytes=4 * MIB)
    fleet.hub("faults", {"path": f"{repo}/*00002*", "rate": MIB / 4, "times": 8})
    model = {"moving": {"repo": repo, "ctx_size": 256}}
    cut = fleet.begin("--limit", "mac1", mac1={"models": {**MANY, **model}})
    until(lambda: under_way(fleet, "moving-GGUF"), 60)
    time.sleep(1)
    cut.kill()
    write_model(fleet.lab.hub_root / repo, "moving", pad_bytes=5 * MIB)
    relocked = fleet.lock(fleet.inventory(mac1={"models": {**MANY, **model}}), "moving")
    assert relocked.out.startswith("moving: changed: commit "), relocked.err

    run = deploy(fleet, **model)

    assert run.code == 0, run.err
    assert is_exact(fleet, repo)
    assert list(models(fleet).rglob("*.part*")) == []
