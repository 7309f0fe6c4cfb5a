"""What models take of a Mac's memory: told before anything is there, and refused when too much."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import fit_params
from tests.core.models.test_gguf import gpt_oss_120b, written
from tests.e2e.fleet import Fleet, plain


def test_a_mac_that_is_too_small_is_told_why_and_what_helps(
    make_fleet: Callable[..., Fleet],
) -> None:
    """By `make fit`, and by a deploy, which changes nothing there."""
    fleet = make_fleet("mac1", "mac2")
    fleet["mac2"].set(memsize=16 << 30, macos="15.7")
    before = sorted(fleet["mac2"].home.rglob("*"))

    told, program = fleet.herd("fit"), json.loads(fleet.herd("fit", "--json").out)
    refused = fleet.deploy("--limit", "mac2")

    assert told.code == 1
    assert "mac1: 128.0 GiB, macOS 26.1\n  recite fits, " in told.out
    assert "mac2: 16.0 GiB, macOS 15.7\n  recite does not fit: it takes 1.0 GiB more" in told.out
    assert "of 10.7 GiB: 2/3 of 16.0 GiB, the rule up to macOS 15" in told.out
    assert '- recite: extra_args with "--cache-ram", "6656"' in told.out
    of = {name: host["sets"][0] for name, host in program["hosts"].items()}
    assert [each["fits"] for each in of.values()] == [True, False]
    gpu = sum(term["size"] for term in of["mac2"]["terms"] if term["gpu"])
    assert of["mac2"]["gpu"]["takes"] == gpu + of["mac2"]["margin"]
    assert of["mac2"]["memory"]["has"] == 16 << 30 < of["mac2"]["memory"]["takes"]
    assert 'recite: extra_args with "--cache-ram", "6656"' in of["mac2"]["ways"]
    assert refused.code == 1
    words = plain(refused.err)
    assert "memory for recite" in words
    assert "= memory" in words
    assert 'recite: extra_args with "--cache-ram", "6656".' in words
    assert sorted(fleet["mac2"].home.rglob("*")) == before

    helped = {"recite": {"extra_args": ["--cache-ram", "6656"]}}
    inventory = fleet.inventory(mac2={"models": helped})
    assert fleet.herd("fit", inventory=inventory).code == 0


def test_a_deployed_mac_says_itself_what_its_gpu_may_wire(deployed: Fleet) -> None:
    default = deployed.herd("fit")
    deployed["mac1"].set(wired_limit_mb=1536)
    limited = deployed.herd("fit")
    deployed["mac1"].set(wired_limit_mb=0)

    assert default.code == 0
    assert "of 107.5 GiB: llama-server --list-devices" in default.out
    assert limited.code == 1
    assert "of 1.5 GiB: iogpu.wired_limit_mb" in limited.out
    assert "- let the GPU wire 2.5 GiB: mac_gpu_wired_limit_mb = 2560" in limited.out


@pytest.mark.soak
def test_a_mac_that_nobody_has_yet(deployed: Fleet, tmp_path: Path) -> None:
    """Without a host it is about group_data/all.py; what is not locked is asked of the Hub."""
    some = deployed.herd("fit", "--memory", "96", "--macos", "15")
    program = json.loads(deployed.herd("fit", "--memory", "96", "--macos", "15", "--json").out)
    assert program["hosts"]["mac1"]["memory"] == 96 << 30
    assert program["hosts"]["mac1"]["sets"][0]["gpu"]["has"] == 72 << 30
    folder = deployed.lab.hub_root / "ggml-org/gpt-oss-120b-GGUF"
    folder.mkdir(parents=True)
    written(folder / "gpt-oss-120b.gguf", gpt_oss_120b)
    (tmp_path / "inventory.py").write_text("macs = []\n")
    none = deployed.herd("fit", "--memory", "16", inventory=tmp_path / "inventory.py")

    assert some.code == 0
    assert some.out.startswith("mac1 on a Mac with 96 GB and macOS 15\n  recite fits, ")
    assert none.out.startswith("group_data/all.py on a Mac with 16 GB and macOS 26\n")
    assert "gpt-oss-120b is not locked: this is how it is on the Hub now" in none.out
    assert "KV cache, 18 sliding layers" in none.out


@pytest.mark.soak
def test_llama_cpp_has_the_last_word_before_anything_is_fetched(
    make_fleet: Callable[..., Fleet],
) -> None:
    """By the headers; what it has said is not asked again, and is looked at before a change."""
    if fit_params.find():
        pytest.skip(f"{fit_params.NAMED} names a real one, whose figures are others")
    fleet = make_fleet("mac1", fit_params=16 << 10)
    mac, stack = fleet["mac1"], fleet["mac1"].home / "llama-swap"
    large = {"models": {"recite": {"ctx_size": 8192}}}

    refused = fleet.deploy(mac1=large)

    words = plain(refused.err)
    assert refused.code == 1
    assert "mac1 cannot serve these models: 1 problem." in words
    assert "128.0 GiB  llama-fit-params on this Mac" in words
    assert "KV cache and states: 128.0 GiB by llama-fit-params, 2.0 MiB by our own sum" in words
    assert "- recite: ctx_size = 6144 instead of 8192." in words
    assert not (stack / "models").exists()
    assert not (stack / "config.yaml").exists()

    mac.clear_log()
    again = fleet.deploy(mac1=large)

    assert again.code == 1
    assert "mac1 cannot be set up: 1 problem." in plain(again.err)
    assert "128.0 GiB  llama-fit-params on this Mac" in plain(again.err)
    assert len(mac.log) == 2

    run = fleet.settles()
    assert "recite fits, " in plain(run.err)
    assert "recite: KV cache and states: 8.0 GiB by llama-fit-params" in plain(run.err)
