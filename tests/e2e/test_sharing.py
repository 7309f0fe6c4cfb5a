"""A fleet fetches each file from the Hub once, and its Macs from each other."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.reciter import write_model
from tests.e2e.fleet import SENTENCE, Fleet, Run, plain
from tests.e2e.test_one_question import ONCE

FETCH = "Models | Fetch the models' files"
OPEN = "Models | Let the Macs of this site fetch from here"
BIG = "lab/big-GGUF"
MIB = 1 << 20
MACS = ("mac1", "mac2", "mac3")
# Of whom two show how it goes; all three are of the soak.
TWO = ("--limit", "mac1", "--limit", "mac2")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path_factory.mktemp("lab"), *MACS)
    write_model(fleet.lab.hub_root / BIG, "big", pad_bytes=6 * MIB)
    yield fleet
    fleet.stop()


def everybody(**model: Any) -> dict[str, dict[str, Any]]:
    """The same further model for each Mac."""
    return {name: {"models": model} for name in MACS}


def splits(fleet: Fleet, repo: str) -> list[Path]:
    return sorted((fleet.lab.hub_root / repo).glob("*.gguf"))


def size(fleet: Fleet, *repos: str) -> int:
    return sum(path.stat().st_size for repo in repos for path in splits(fleet, repo))


def is_exact(fleet: Fleet, name: str, repo: str) -> bool:
    """Whether a Mac has a repository's splits, byte for byte."""
    directory = fleet[name].home / "llama-swap/models" / repo.rpartition("/")[2]
    return all(
        hashlib.sha256((directory / path.name).read_bytes()).digest()
        == hashlib.sha256(path.read_bytes()).digest()
        for path in splits(fleet, repo)
    )


def deploy(fleet: Fleet, *options: str, **data: Any) -> Run:
    fleet.hub("reset")
    run = fleet.deploy(*options, **data)
    assert run.code == 0, run.err
    return run


@pytest.fixture
def shared(fleet: Fleet) -> None:
    """All have the big model, whichever tests ran before."""
    deploy(fleet, **everybody(**BIG_MODEL))


def lose(fleet: Fleet, *names: str) -> None:
    """These Macs have nothing of the big model any more."""
    for name in names:
        for path in (fleet[name].home / "llama-swap/models/big-GGUF").glob("*.gguf"):
            path.unlink()


BIG_MODEL = {"big": {"repo": BIG, "ctx_size": 256}}


def test_macs_fetch_a_model_from_the_hub_once(fleet: Fleet) -> None:
    run = deploy(fleet, *TWO, **everybody(**BIG_MODEL))

    wanted = size(fleet, BIG, "lab/recite-GGUF")
    assert wanted <= fleet.hub()["bytes"] <= 1.05 * wanted
    assert {name for name in MACS[:2] if is_exact(fleet, name, BIG)} == {"mac1", "mac2"}
    assert "from the Hub" in plain(run.err + run.out)
    for name in MACS[:2]:
        assert fleet.says(name, model="big") == SENTENCE
        (grant,) = [fleet[name].home / "llama-swap/peers.json"]
        assert grant.stat().st_mode & 0o777 == 0o600


def test_a_second_run_opens_nothing_and_changes_nothing(fleet: Fleet) -> None:
    """Each is asked who it is and then for the rest, though they ask each other's models."""
    for name in MACS:
        fleet[name].clear_log()
    run = deploy(fleet, *TWO, **everybody(**BIG_MODEL))

    assert {name: run.changed(name) for name in MACS if run.changed(name)} == {}
    assert fleet.hub()["bytes"] == 0
    assert [len(fleet[name].log) for name in MACS] == [ONCE, ONCE, 0]


@pytest.mark.soak
@pytest.mark.usefixtures("shared")
def test_a_mac_that_lost_its_files_gets_them_from_the_others(fleet: Fleet) -> None:
    lose(fleet, "mac3")
    run = deploy(fleet, **everybody(**BIG_MODEL))

    assert fleet.hub()["bytes"] == 0
    assert is_exact(fleet, "mac3", BIG)
    assert FETCH in run.changed("mac3")
    assert {OPEN} == run.changed("mac1") & {OPEN, FETCH}


@pytest.mark.soak
@pytest.mark.usefixtures("shared")
def test_macs_that_take_their_turns_share_too(fleet: Fleet) -> None:
    """Whoever comes first, lacking nothing, lets in who comes later."""
    lose(fleet, "mac2")
    run = deploy(fleet, "--serial", **everybody(**BIG_MODEL))
    again = deploy(fleet, "--serial", **everybody(**BIG_MODEL))

    assert fleet.hub()["bytes"] == 0
    assert is_exact(fleet, "mac2", BIG)
    assert FETCH in run.changed("mac2")
    assert {name: again.changed(name) for name in MACS if again.changed(name)} == {}


def test_verify_models_mends_a_mac_from_its_neighbours(fleet: Fleet) -> None:
    lose(fleet, "mac1")
    fleet.hub("reset")
    inventory = fleet.inventory(**everybody(**BIG_MODEL))

    run = fleet.herd("verify-models", *TWO, inventory=inventory)

    assert run.code == 0, run.err
    assert fleet.hub()["bytes"] == 0
    assert is_exact(fleet, "mac1", BIG)


@pytest.mark.soak
@pytest.mark.usefixtures("shared")
def test_make_fetch_asks_the_hub_once_for_all(fleet: Fleet) -> None:
    repo = "lab/alt-GGUF"
    write_model(fleet.lab.hub_root / repo, "alt", pad_bytes=MIB)
    fleet.hub("reset")

    run = fleet.herd("fetch", repo, *TWO)

    assert run.code == 0, run.err
    assert size(fleet, repo) <= fleet.hub()["bytes"] <= 1.05 * size(fleet, repo)
    assert {name for name in MACS[:2] if is_exact(fleet, name, repo)} == {"mac1", "mac2"}


@pytest.mark.soak
@pytest.mark.usefixtures("shared")
def test_a_mac_of_another_site_asks_the_hub(fleet: Fleet) -> None:
    lose(fleet, "mac3")
    data = everybody(**BIG_MODEL)
    data["mac3"]["site"] = "london"
    run = deploy(fleet, **data)

    assert fleet.hub()["bytes"] == size(fleet, BIG)
    assert is_exact(fleet, "mac3", BIG)
    assert OPEN not in run.changed("mac1")


@pytest.mark.soak
@pytest.mark.usefixtures("shared")
def test_a_mac_alone_in_its_run_asks_nobody_else(fleet: Fleet) -> None:
    directory = fleet["mac2"].home / "llama-swap/models/big-GGUF"
    lost = next(directory.glob("*00002*.gguf"))
    lost.unlink()
    fleet["mac1"].clear_log()
    run = deploy(fleet, "--limit", "mac2", **everybody(**BIG_MODEL))

    assert fleet.hub()["bytes"] == (fleet.lab.hub_root / BIG / lost.name).stat().st_size
    assert OPEN not in run.changed("mac2")
    assert is_exact(fleet, "mac2", BIG)


@pytest.mark.soak
def test_a_new_version_reaches_all_of_them_by_one_copy(fleet: Fleet) -> None:
    write_model(fleet.lab.hub_root / BIG, "big", pad_bytes=7 * MIB)
    inventory = fleet.inventory(**everybody(**BIG_MODEL))
    assert fleet.lock(inventory, "big").code == 0
    deploy(fleet, **everybody(**BIG_MODEL))

    assert size(fleet, BIG) <= fleet.hub()["bytes"] <= 1.05 * size(fleet, BIG)
    assert {name for name in MACS if is_exact(fleet, name, BIG)} == set(MACS)
    assert fleet.says("mac2", model="big") == SENTENCE


@pytest.mark.soak
def test_three_hundred_megabytes_leave_the_hub_once(fleet: Fleet) -> None:
    repo = "lab/huge-GGUF"
    write_model(fleet.lab.hub_root / repo, "huge", pad_bytes=300 * MIB)
    assert size(fleet, repo) > 290 * MIB
    deploy(fleet, **everybody(huge={"repo": repo, "ctx_size": 256}))

    assert size(fleet, repo) <= fleet.hub()["bytes"] <= 1.05 * size(fleet, repo)
    assert {name for name in MACS if is_exact(fleet, name, repo)} == set(MACS)
