"""Pinned releases: fetched, switched to, held at the one before; and what cannot serve is put
back."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.streams import WHOLE, Streams
from tests.e2e.fleet import KEY, SENTENCE, Fleet, plain, until
from tests.e2e.releases import llama_cpp, llama_swaps

INSTALL = "Packages | Have the pinned releases"
SWITCH = "llama-swap | Switch to the pinned releases"
CONFIG = "llama-swap | Write config.yaml"
LLAMA_SWAP = "Services | Run llama-swap"
KEYS = "Proxy | Write the API keys"
HOLD = "Rollback | Hold the releases before"
VERIFY = "Verify | Wait until the stack serves"
OLD = "Services | Remove old releases of llama.cpp and llama-swap"
PRELOAD = {"models": {"recite": {"preload": True}}}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A Mac with two pinned releases."""
    fleet = Fleet(tmp_path_factory.mktemp("lab"), "mac1")
    run = fleet.deploy(mac1=pins(fleet, "b1", "v1"))
    assert run.code == 0, run.err
    yield fleet
    fleet.stop()


def pins(fleet: Fleet, server: str, swap: str, **more: Any) -> dict[str, Any]:
    return {
        "llama_cpp_release": llama_cpp(fleet, server),
        "llama_swap_release": llama_swaps(fleet, swap),
        **PRELOAD,
        **more,
    }


def stack(fleet: Fleet) -> Path:
    return fleet["mac1"].home / "llama-swap"


def runs(fleet: Fleet, software: str = "llama.cpp") -> str:
    """The version that the link leads to."""
    return os.readlink(stack(fleet) / f"releases/{software}/current").rpartition("-")[0]


def pid(fleet: Fleet, job: str) -> str:
    shown = fleet["mac1"].launchd.job(f"com.moonspirit.{job}")
    assert shown
    return shown["pid"]


def test_a_pinned_release_is_upgraded_cuts_nobody_off_and_comes_back(fleet: Fleet) -> None:
    """Of those who ask all the time, each is answered whole, or told when to come back; and nobody
    stays drained. A second run changes nothing; a rollback holds until something else is pinned."""
    assert fleet.says() == SENTENCE
    config = (stack(fleet) / "config.yaml").read_text()
    assert f"{stack(fleet)}/releases/llama.cpp/current/llama-server\n" in config
    assert not (fleet["mac1"].prefix / "bin/llama-server").exists()
    again = fleet.deploy(mac1=pins(fleet, "b1", "v1"))
    assert again.code == 0, again.err
    assert again.changed("mac1") == set()
    proxy, swap = pid(fleet, "proxy"), pid(fleet, "llama-swap")
    inventory = fleet.inventory(mac1=pins(fleet, "b2", "v1"))
    with Streams([fleet["mac1"].ports["proxy"]], KEY, clients=2, model="recite") as streams:
        until(lambda: streams.became[WHOLE] >= 2)
        run = fleet.herd("upgrade", inventory=inventory)

    assert run.code == 0, run.out + run.err
    assert "upgrade of mac1, 1 of 1" in run.out
    assert f"recite at http://127.0.0.1:{fleet['mac1'].ports['proxy']}: {SENTENCE}" in run.out
    said = plain(run.out + run.err)
    assert "versions: llama.cpp b2, llama-swap v1" in said
    assert (runs(fleet), pid(fleet, "proxy")) == ("b2", proxy)
    assert pid(fleet, "llama-swap") != swap
    assert streams.wrong == []
    (text,) = streams.said
    assert text.startswith(SENTENCE)
    assert fleet.says() == SENTENCE
    assert all(said.startswith("503 ") for said in streams.refused)
    assert not (stack(fleet) / "availability.json").exists()

    back = fleet.rollback(mac1=pins(fleet, "b2", "v1"))

    assert back.code == 0, back.err
    assert runs(fleet) == "b1"
    assert fleet.says() == SENTENCE
    held = fleet.deploy(mac1=pins(fleet, "b2", "v1"))
    assert (held.code, held.changed("mac1")) == (0, set()), held.err
    words = "llama.cpp is held at b1 since a rollback, and llama_cpp_release is b2"
    assert words in plain(back.err)
    assert words in plain(held.err)
    again = fleet.rollback(mac1=pins(fleet, "b2", "v1"))
    assert (again.code, again.changed("mac1")) == (0, set()), again.err
    forward = fleet.deploy(mac1=pins(fleet, "b2", "v1", homebrew_upgrade=True))
    assert (forward.code, runs(fleet)) == (0, "b2"), forward.err
    assert {SWITCH, LLAMA_SWAP} <= forward.changed("mac1")


# Whatever it is asked about itself it answers; it only does not do its work.
IDLE_SERVER = """#!/bin/sh
for argument; do
  case $argument in --version | --help | --list-devices) exec {real} "$argument" ;; esac
done
echo 'error: this build has no kernels for your GPU' >&2
exit 1
"""
IDLE_SWAP = """#!/bin/sh
case "$*" in *config.yaml*) echo 'panic: runtime error' >&2; exit 2 ;; esac
exec {real} "$@"
"""


def serves_as_before(fleet: Fleet, before: tuple[str, str, str]) -> None:
    """With the same releases and the same configuration; and a deploy has nothing to restart."""
    config = (stack(fleet) / "config.yaml").read_text()
    assert (runs(fleet), runs(fleet, "llama-swap"), config) == before
    assert fleet.says() == SENTENCE
    run = fleet.deploy(mac1=pins(fleet, "b2", "v1"))
    # What is known to answer was forgotten, keys are of the inventory that was deployed last, and
    # what failed is not kept.
    assert run.code == 0, run.err
    assert run.changed("mac1") <= {KEYS, VERIFY, OLD}


@pytest.fixture
def served(fleet: Fleet) -> tuple[str, str, str]:
    """By the second release: what that is, and with which configuration."""
    run = fleet.deploy(mac1=pins(fleet, "b2", "v1"))
    assert run.code == 0, run.err
    return "b2", "v1", (stack(fleet) / "config.yaml").read_text()


QUICK = {"verify_timeout": 10}


@pytest.mark.soak
def test_a_llama_swap_that_dies_as_a_job_is_put_back(
    fleet: Fleet, served: tuple[str, str, str]
) -> None:
    real = (stack(fleet) / "releases/llama-swap/current").resolve() / "llama-swap"
    swap = llama_swaps(fleet, "v2", IDLE_SWAP.format(real=f"'{real}'"))

    run = fleet.deploy(mac1=pins(fleet, "b2", "v1", llama_swap_release=swap, **QUICK))

    assert run.code == 1
    assert "What served before is put back, and answers." in plain(run.err)
    assert "panic: runtime error" in plain(run.err)
    serves_as_before(fleet, served)


def test_a_llama_server_that_loads_no_model_is_put_back(
    fleet: Fleet, served: tuple[str, str, str]
) -> None:
    """With its words, and the configuration that it was to have."""
    real = (stack(fleet) / "releases/llama.cpp/current").resolve() / "llama-server"
    server = llama_cpp(fleet, "b3", IDLE_SERVER.format(real=f"'{real}'"))
    more = {"models": {"recite": {"preload": True, "ctx_size": 640}}}

    run = fleet.deploy(mac1=pins(fleet, "b2", "v1", llama_cpp_release=server, **QUICK) | more)

    assert run.code == 1
    assert "What served before is put back, and answers." in plain(run.err)
    assert "this build has no kernels for your GPU" in plain(run.err)
    serves_as_before(fleet, served)


@pytest.mark.soak
def test_a_proxy_that_does_not_come_up_takes_nobodys_place(
    fleet: Fleet, served: tuple[str, str, str]
) -> None:
    proxy = pid(fleet, "proxy")
    (release,) = stack(fleet).glob("proxy/release-*")
    program = release / "proxy/__main__.py"
    text = program.read_text()
    program.write_text("raise SystemExit('no such certificate')\n")
    run = fleet.deploy(mac1=pins(fleet, "b2", "v1", proxy_host="127.0.0.1"))
    program.write_text(text)

    assert run.code == 1
    assert "The new proxy does not come up; the old one stays. It says:" in plain(run.err)
    assert "no such certificate" in plain(run.err)
    assert pid(fleet, "proxy") == proxy
    serves_as_before(fleet, served)


# What has work in a roll of pinned releases, and is before or while it is drained, or after.
STEPS = {"upgrade": [INSTALL, SWITCH, CONFIG, LLAMA_SWAP, VERIFY, OLD]}
STEPS["rollback"] = [HOLD, *STEPS["upgrade"][1:-1]]
_KILLS = [(verb, step) for verb, steps in STEPS.items() for step in steps]


@pytest.mark.soak
@pytest.mark.parametrize(("verb", "step"), _KILLS)
def test_a_roll_that_is_killed_is_finished_by_the_next(fleet: Fleet, verb: str, step: str) -> None:
    """In whichever step: the workstation's power goes. Nobody stays drained, and one more run
    changes nothing."""
    first, last = ("b1", "b2") if verb == "upgrade" else ("b2", "b1")
    for version in {"upgrade": ["b1"], "rollback": ["b1", "b2"]}[verb]:
        run = fleet.deploy("--data", "homebrew_upgrade=true", mac1=pins(fleet, version, "v1"))
        assert run.code == 0, run.err
    assert runs(fleet) == first
    inventory = fleet.inventory(mac1=pins(fleet, "b2", "v1"))
    rolling = fleet.begin_herd(verb, inventory=inventory)
    rolling.await_line(f"--> Starting operation: {step}")
    rolling.kill()

    run = fleet.herd(verb, inventory=inventory)

    assert run.code == 0, run.out + run.err
    assert runs(fleet) == last
    assert fleet.says() == SENTENCE
    assert not (stack(fleet) / "availability.json").exists()
    again = fleet.herd(verb, "--json", inventory=inventory)
    assert json.loads(again.out)["hosts"]["mac1"]["changed"] == []


@pytest.mark.soak
def test_a_roll_whose_own_process_is_killed_finishes_the_mac(fleet: Fleet) -> None:
    """And the next one waits for that. Ctrl+C before only says that it ends with this Mac."""
    run = fleet.deploy("--data", "homebrew_upgrade=true", mac1=pins(fleet, "b1", "v1"))
    assert run.code == 0, run.err
    inventory = fleet.inventory(mac1=pins(fleet, "b2", "v1"))
    rolling = fleet.begin_herd("upgrade", inventory=inventory)
    rolling.await_line(f"--> Starting operation: {SWITCH}")
    os.killpg(rolling.process.pid, signal.SIGINT)
    rolling.await_line("Ends with what is being changed now")
    rolling.process.kill()

    run = fleet.herd("upgrade", "--json", inventory=inventory)

    assert run.code == 0, run.err
    assert json.loads(run.out)["hosts"]["mac1"]["changed"] == []
    assert runs(fleet) == "b2"


@pytest.mark.soak
def test_what_is_homebrews_again_is_linked_to_no_release(fleet: Fleet) -> None:
    refused = fleet.rollback(mac1=PRELOAD)

    assert refused.code == 1
    assert "Homebrew's, which installs its newest version only" in plain(refused.err)
    run = fleet.settles(mac1=PRELOAD)
    assert LLAMA_SWAP in run.changed("mac1")
    assert "versions: llama.cpp 0.9.0, llama-swap 250" in plain(run.err)
    assert not list(stack(fleet).glob("releases/*/current"))
    assert fleet.says() == SENTENCE


@pytest.mark.soak
def test_a_roll_begins_with_the_canaries_and_ends_at_the_first_that_fails(
    make_fleet: Callable[..., Fleet],
) -> None:
    """Nobody is logged in at either; the other one does not hear of it."""
    herd = make_fleet("mac1", "mac2", console=False)
    inventory = herd.inventory(mac1={})
    inventory.write_text(f"{inventory.read_text()}canary = ['mac2']\n")

    for verb in ("upgrade", "rollback"):
        run = herd.herd(verb, inventory=inventory)

        assert run.code == 1
        assert run.out.startswith(f"==> {verb} of mac2, 1 of 2")
        assert f"{verb} ends with mac2: what failed is above." in run.err
        assert "left as they are: mac1" in run.err
        assert "done:" not in run.err
        assert {kind for kind, _ in herd["mac1"].log} == {"exec"}
        assert not any("drain" in text or "mkdir" in text for _, text in herd["mac1"].log)

    program = herd.herd("upgrade", "--json", inventory=inventory)

    assert program.code == 1
    told = json.loads(program.out)
    assert {key: told[key] for key in ("schema", "verb", "unreached")} == {
        "schema": 1,
        "verb": "upgrade",
        "unreached": {},
    }
    failed, left = told["hosts"]["mac2"], told["hosts"]["mac1"]
    assert (failed["outcome"], left) == ("failed", {"outcome": "left"})
    assert failed["changed"] == []
    assert "==> upgrade of mac2, 1 of 2" in program.err
