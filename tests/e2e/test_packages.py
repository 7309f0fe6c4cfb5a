"""Homebrew and what it brings: installed when missing, trusted, upgraded only when asked to."""

import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.lab import Mac
from tests.e2e.fleet import SENTENCE, Fleet, Run, is_served, plain, until

HOMEBREW = "Packages | Install Homebrew"
FORMULAE = "Packages | Install llama.cpp, llama-swap, hf, uv and Python"
UPGRADE = "Packages | Upgrade what is outdated"
CONFIG = "llama-swap | Write config.yaml"
INSTALL_PROXY = "Proxy | Install the proxy"
LLAMA_SWAP = "Services | Run llama-swap"
PROXY = "Services | Run the proxy"
VERIFY = "Verify | Wait until the stack serves"

TAP = "mostlygeek/llama-swap"
FULL_NAME = f"{TAP}/llama-swap"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fleet, Run, Any]]:
    """Two Macs without Homebrew, of which mac1's sudo asks for no password, and a deploy."""
    fleet = Fleet(tmp_path_factory.mktemp("lab"), "mac1", "mac2", homebrew="absent", clt=False)
    fleet["mac1"].set(sudo="passwordless")
    before = contents(fleet["mac2"])
    run = fleet.deploy()
    yield fleet, run, before
    fleet.stop()


@pytest.fixture
def fleet(first: tuple[Fleet, Run, Any]) -> Iterator[Fleet]:
    """With mac1 served by what the first deploy installed; only it is looked at."""
    fleet, _, _ = first
    yield fleet
    fleet["mac1"].set(formulae={}, brew_fail={}, llama_server="current")


def contents(mac: Mac) -> list[Path]:
    return sorted([*mac.home.rglob("*"), *mac.prefix.rglob("*")])


def deploy(fleet: Fleet, *options: str, **data: Any) -> Run:
    return fleet.deploy("--limit", "mac1", *options, **data)


def brew(fleet: Fleet, words: str) -> str:
    """Homebrew on mac1, as a person at its terminal would use it."""
    mac = fleet["mac1"]
    path = shlex.quote(str(mac.prefix / "bin"))
    return mac.run(f"PATH={path}:$PATH brew {words}", check=True).stdout


def stack(fleet: Fleet) -> Path:
    return fleet["mac1"].home / "llama-swap"


def pid(fleet: Fleet, job: str) -> str:
    shown = fleet["mac1"].launchd.job(f"com.moonspirit.{job}")
    assert shown
    return shown["pid"]


def test_homebrew_is_installed_where_sudo_asks_for_no_password(
    first: tuple[Fleet, Run, Any],
) -> None:
    """With the Command Line Tools, and all goes on to the sentence."""
    fleet, run, _ = first

    assert {HOMEBREW, FORMULAE} <= run.changed("mac1"), run.err
    assert fleet.says() == SENTENCE
    assert "==> Installation successful!" in plain(run.err)


def test_without_sudo_one_instruction_says_what_to_do(first: tuple[Fleet, Run, Any]) -> None:
    fleet, run, before = first

    text = plain(run.err)
    assert run.code == 1
    assert "mac2 cannot be set up: 1 problem." in text
    assert "It is missing, and cannot be installed unattended: sudo asks for a password." in text
    assert "install it once on the Mac as brew.sh says" in text
    assert contents(fleet["mac2"]) == before


@pytest.mark.soak
def test_formula_that_is_installed_but_not_trusted_is_trusted(fleet: Fleet) -> None:
    brew(fleet, f"untrust --formula {FULL_NAME}")

    run = deploy(fleet)

    assert run.code == 0, run.err
    assert run.changed("mac1") == {FORMULAE}
    assert FULL_NAME in brew(fleet, "trust --json=v1")


@pytest.mark.soak
def test_trust_in_the_whole_tap_is_enough(fleet: Fleet) -> None:
    brew(fleet, f"untrust --formula {FULL_NAME}")
    brew(fleet, f"trust --tap {TAP}")

    run = deploy(fleet)

    assert run.code == 0, run.err
    assert run.changed("mac1") == set()
    brew(fleet, f"untrust --tap {TAP}")


@pytest.mark.soak
def test_failed_install_shows_why_and_the_next_run_goes_on(fleet: Fleet) -> None:
    """From a tap that somebody tapped earlier by hand, and never trusted."""
    brew(fleet, f"uninstall {FULL_NAME}")
    brew(fleet, f"untrust --formula {FULL_NAME}")
    assert TAP in brew(fleet, "tap")
    fleet["mac1"].set(brew_fail={"llama-swap": "SHA-256 mismatch of the bottle"})

    failed = deploy(fleet)

    assert failed.code == 1
    assert "Error: SHA-256 mismatch of the bottle" in plain(failed.err)
    assert "Traceback" not in failed.err
    fleet["mac1"].set(brew_fail={})
    run = deploy(fleet)
    assert run.code == 0, run.err
    assert FORMULAE in run.changed("mac1")
    assert FULL_NAME in brew(fleet, "trust --json=v1")
    assert fleet.says() == SENTENCE


@pytest.mark.soak
def test_nothing_is_upgraded_unasked(fleet: Fleet) -> None:
    """Not even while something else of the same operation is missing."""
    fleet["mac1"].set(formulae={"llama.cpp": "0.9.7", "uv": "0.14.0", "python@3.13": "3.13.99"})
    before = brew(fleet, "list --versions")
    brew(fleet, "uninstall hf")

    run = deploy(fleet)

    assert run.code == 0, run.err
    assert run.changed("mac1") == {FORMULAE}
    assert brew(fleet, "list --versions") == before


@pytest.mark.soak
@pytest.mark.parametrize(
    ("variant", "flags"), [("transition", "--load-mode mmap+mlock"), ("old", "--mlock")]
)
def test_upgrade_when_asked_brings_flags_that_the_new_server_takes(
    fleet: Fleet, variant: str, flags: str
) -> None:
    """And restarts what runs the upgraded program, then verifies with a completion."""
    mac = fleet["mac1"]
    number = {"transition": 1, "old": 2}[variant]
    mac.set(formulae={"llama.cpp": f"0.9.{number}"}, llama_server=variant)
    data = {"models": {"recite": {"preload": True}}}
    swap, proxy = pid(fleet, "llama-swap"), pid(fleet, "proxy")

    run = deploy(fleet, "--data", "homebrew_upgrade=true", mac1=data)

    assert run.code == 0, run.err
    assert {UPGRADE, LLAMA_SWAP} <= run.changed("mac1")
    assert f"llama.cpp 0.9.{number}" in brew(fleet, "list --versions")
    assert (pid(fleet, "llama-swap") != swap, pid(fleet, "proxy") == proxy) == (True, True)
    config = (stack(fleet) / "config.yaml").read_text()
    assert f"      {flags}\n" in config
    assert fleet.says() == SENTENCE
    again = deploy(fleet, mac1=data)
    assert again.changed("mac1") == set()


@pytest.mark.soak
def test_current_server_gets_the_current_flag(fleet: Fleet) -> None:
    fleet["mac1"].set(formulae={"llama.cpp": "0.9.3"}, llama_server="current")

    run = deploy(fleet, "--data", "homebrew_upgrade=true")

    assert run.code == 0, run.err
    assert "      --load-mode mmap+mlock\n" in (stack(fleet) / "config.yaml").read_text()
    assert fleet.says() == SENTENCE


@pytest.mark.soak
def test_config_that_llama_swap_rejects_leaves_the_old_one_running(fleet: Fleet) -> None:
    """Its words are shown, and a loaded model does not even notice."""
    assert fleet.says() == SENTENCE
    config = stack(fleet) / "config.yaml"
    before, swap = (config.read_text(), config.stat().st_mtime_ns), pid(fleet, "llama-swap")
    servers = fleet["mac1"].run("pgrep -f -- --ctx-size").stdout
    program = (fleet["mac1"].prefix / "bin/llama-swap").resolve()
    real = program.rename(program.with_suffix(".real"))
    program.write_text("#!/bin/sh\necho 'Error: ctx of 777 tokens: too odd'\nexit 1\n")
    program.chmod(0o755)
    data = {"models": {"recite": {"ctx_size": 777}}}
    try:
        run = deploy(fleet, mac1=data)
    finally:
        real.replace(program)

    assert run.code == 1
    text = plain(run.err)
    assert "llama-swap does not accept the new config.yaml; the old one stays." in text
    assert "Error: ctx of 777 tokens: too odd" in text
    assert (config.read_text(), config.stat().st_mtime_ns) == before
    assert (pid(fleet, "llama-swap"), servers) == (
        swap,
        fleet["mac1"].run("pgrep -f -- --ctx-size").stdout,
    )
    assert servers
    assert sorted(path.name for path in stack(fleet).glob("config*")) == [
        "config.json",
        "config.yaml",
    ]
    assert fleet.says() == SENTENCE


@pytest.mark.soak
def test_environment_with_a_dangling_python_is_made_again(fleet: Fleet) -> None:
    """As an upgrade of Homebrew's Python leaves it."""
    (environment,) = stack(fleet).glob("proxy/env-*")
    python = environment / "bin/python"
    python.unlink()
    python.symlink_to(fleet["mac1"].prefix / "Cellar/python@3.13/3.13.0/bin/python3.13")

    run = deploy(fleet)

    assert run.code == 0, run.err
    assert INSTALL_PROXY in run.changed("mac1")
    assert subprocess.run([python, "-c", "import aiohttp"], check=False).returncode == 0
    fleet["mac1"].launchd("kickstart", "-k", "gui/501/com.moonspirit.proxy")
    until(lambda: is_served(fleet["mac1"].ports["proxy"]))
    assert fleet.says() == SENTENCE


@pytest.mark.soak
@pytest.mark.parametrize("variant", ["current", "transition", "old"])
def test_each_build_of_llama_server_on_a_fresh_mac(
    make_fleet: Callable[..., Fleet], variant: str
) -> None:
    """Every setting that becomes a flag, in a form that this build accepts."""
    fleet = make_fleet("mac1", llama_server=variant)
    model = {
        "ctx_size": 256,
        "parallel": 2,
        "cache_type_k": "q8_0",
        "cache_type_v": "q8_0",
        "flash_attention": "on",
        "mlock": True,
        "preload": True,
        "extra_args": ["--metrics"],
    }

    fleet.settles(mac1={"models": {"recite": model}})

    assert fleet.says() == SENTENCE


@pytest.mark.soak
def test_what_homebrew_has_in_the_way_is_found_before_anything_is_changed(fleet: Fleet) -> None:
    """A keg that is not linked, a stranger's program, one that cannot run, another's prefix."""
    mac = fleet["mac1"]
    brew(fleet, "unlink llama.cpp")
    unlinked = deploy(fleet, "--fail-percent", "0")
    status = fleet.herd("status", "--limit", "mac1")
    brew(fleet, "install tabbyml/tabby/tabby")
    tabby = deploy(fleet)
    brew(fleet, "uninstall tabby")
    brew(fleet, "link --overwrite llama.cpp")
    program = (mac.prefix / "bin/llama-server").resolve()
    real = program.rename(program.with_suffix(".real"))
    why = "dyld[412]: Library not loaded: /opt/homebrew/opt/ggml/lib/libggml.0.dylib"
    program.write_text(f"#!/bin/sh\necho '{why}' >&2\nkill -ABRT $$\n")
    program.chmod(0o755)
    broken = deploy(fleet)
    told = fleet.herd("status", "--limit", "mac1")
    real.replace(program)
    brew(fleet, "uninstall hf")
    mac.set(prefix_owner="ben")
    others = deploy(fleet)
    mac.set(prefix_owner=None)

    for run, words in (
        (unlinked, "llama.cpp 0.9.3 is installed and not linked."),
        (tabby, "bin/llama-server is that of tabby, which takes other flags"),
        (broken, f"The installed one cannot run: {why} (signal 6)."),
        (others, "belongs to ben, so this user cannot install what is missing: hf."),
    ):
        assert run.code == 1
        assert words in plain(run.err).replace("0.9.0", "0.9.3").replace("0.9.2", "0.9.3"), run.err
        assert run.changed("mac1") == set()
        assert "Traceback" not in run.err
    assert status.code == told.code == 1
    assert "serves      llama-server is not linked" in status.out
    assert f"serves      llama-server cannot run: {why}" in told.out
    assert deploy(fleet).code == 0
