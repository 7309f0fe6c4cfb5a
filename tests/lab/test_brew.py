"""Homebrew 6: texts, streams and exit codes; taps, trust, and a prefix that really works."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import tools
from lab.lab import Lab, Mac

TAP = "mostlygeek/llama-swap"
QUIET = {"HOMEBREW_NO_AUTO_UPDATE": "1"}
Until = Callable[..., Any]


@pytest.fixture
def brewing(mac: Mac) -> Iterator[Mac]:
    """A Mac with a Homebrew without formulae, taps and trust."""
    shutil.rmtree(mac.prefix, ignore_errors=True)
    shutil.rmtree(mac.home / ".homebrew", ignore_errors=True)
    tools.install_homebrew(mac)
    yield mac
    shutil.rmtree(mac.prefix, ignore_errors=True)
    tools.install_homebrew(mac)


def brew(mac: Mac, arguments: str, **environment: str) -> tuple[int, str, str]:
    result = mac.run(f"{mac.prefix}/bin/brew {arguments}", env=QUIET | environment)
    return result.returncode, result.stdout, result.stderr


def test_about_itself(brewing: Mac) -> None:
    prefix = brewing.prefix

    assert brew(brewing, "--version") == (0, "Homebrew 6.0.18\n", "")
    assert brew(brewing, "--prefix") == (0, f"{prefix}\n", "")
    assert brew(brewing, "--prefix nope") == (0, f"{prefix}/opt/nope\n", "")
    assert brew(brewing, "list --versions") == (0, "", "")
    assert brew(brewing, "list --versions uv") == (1, "", "")
    assert brew(brewing, "list uv") == (1, "", f"Error: No such keg: {prefix}/Cellar/uv\n")
    assert brew(brewing, "update") == (0, "Already up-to-date.\n", "==> Updating Homebrew...\n")


def test_it_is_not_in_the_path_of_ssh_commands(brewing: Mac) -> None:
    assert brewing.run("command -v brew").returncode == 127


def test_bottles_are_called_by_the_macos(brewing: Mac) -> None:
    brewing.set(macos="27.0")
    try:
        assert ".arm64_golden_gate.bottle.tar.gz" in brew(brewing, "install uv")[1]
    finally:
        brewing.set(macos="26.1")


def test_a_keg_can_be_there_and_not_linked(brewing: Mac) -> None:
    """And another formula's program can be in its way."""
    assert brew(brewing, "install tabbyml/tabby/tabby")[0] == 0
    code, _, err = brew(brewing, "install llama.cpp")
    assert (code, "Could not symlink bin/llama-server" in err) == (1, True)
    assert brew(brewing, "list --versions llama.cpp")[0] == 0
    assert "just not linked" in brew(brewing, "install llama.cpp")[2]

    assert brew(brewing, "link --overwrite llama.cpp")[0] == 0
    link = brewing.prefix / "bin/llama-server"
    assert "/llama.cpp/" in os.readlink(link)
    assert brew(brewing, "unlink llama.cpp")[1].endswith("2 symlinks removed.\n")
    assert not link.is_symlink()


def test_one_formula_is_installed_by_one_at_a_time(brewing: Mac) -> None:
    brewing.set(brew_hang=["uv"])
    first = subprocess.Popen(
        [str(brewing.root / "bin/sh"), "-c", f"exec {brewing.prefix}/bin/brew install uv"],
        env=brewing.environment() | QUIET,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert first.stdout
        assert "Fetching uv" in first.stdout.readline()
        code, _, err = brew(brewing, "install uv")
        assert code == 1
        assert "Error: A `brew install uv` process has already locked " in err
        assert "Please wait for it to finish or terminate it to continue." in err
    finally:
        first.kill()
        first.wait()
        brewing.set(brew_hang=[])
    assert brew(brewing, "install uv")[0] == 0


def test_install_with_dependencies(brewing: Mac) -> None:
    code, out, err = brew(brewing, "install hf uv")

    assert (code, err) == (0, "")
    assert "==> Pouring python@3.14--3.14.1.arm64_tahoe.bottle.tar.gz\n" in out
    assert f"🍺  {brewing.prefix}/Cellar/uv/0.13.9: 12 files, 3MB\n" in out
    assert brew(brewing, "list --versions")[1] == (
        "hf 2.4.0\nopenssl@3 3.6.0\npython@3.14 3.14.1\nuv 0.13.9\n"
    )
    assert brew(brewing, "install uv") == (
        0,
        "",
        "Warning: uv 0.13.9 is already installed and up-to-date.\n"
        "To reinstall 0.13.9, run:\n  brew reinstall uv\n",
    )
    assert os.readlink(brewing.prefix / "bin/uv") == "../Cellar/uv/0.13.9/bin/uv"
    assert os.readlink(brewing.prefix / "opt/uv") == "../Cellar/uv/0.13.9"
    assert brewing.run(f"{brewing.prefix}/bin/uv --version").stdout.startswith("uv ")


def test_an_old_name_installs_the_new_one(brewing: Mac) -> None:
    assert brew(brewing, "install huggingface-cli")[0] == 0
    assert brew(brewing, "list --versions hf")[1] == "hf 2.4.0\n"


def test_an_unknown_name(brewing: Mac) -> None:
    assert brew(brewing, "install nope") == (
        1,
        "",
        'Warning: No available formula or cask with the name "nope".\n',
    )


def test_upgrades(brewing: Mac) -> None:
    brew(brewing, "install uv")
    assert brew(brewing, "upgrade") == (0, "", "")
    assert brew(brewing, "upgrade uv") == (0, "", "Warning: uv 0.13.9 already installed\n")
    assert brew(brewing, "upgrade aria2") == (1, "", "Error: aria2 not installed\n")
    assert json.loads(brew(brewing, "outdated --json=v2")[1]) == {"formulae": [], "casks": []}
    brewing.set(formulae={"uv": "0.14.0"})

    code, out, _ = brew(brewing, "outdated --json=v2")
    assert code == 0
    assert json.loads(out)["formulae"] == [
        {
            "name": "uv",
            "installed_versions": ["0.13.9"],
            "current_version": "0.14.0",
            "pinned": False,
            "pinned_version": None,
        }
    ]
    assert brew(brewing, "outdated --json=v2 uv")[0] == 1
    code, out, _ = brew(brewing, "install uv")
    assert code == 0
    assert out.startswith("uv 0.13.9 is already installed but outdated (so it will be upgraded).\n")
    assert brew(brewing, "list --versions uv")[1] == "uv 0.14.0\n"


def test_pins_hold(brewing: Mac) -> None:
    assert brew(brewing, "pin uv") == (1, "", "Error: uv not installed\n")
    brew(brewing, "install uv")
    assert brew(brewing, "pin uv") == (0, "", "")
    assert brew(brewing, "pin uv") == (0, "", "Warning: uv already pinned\n")
    brewing.set(formulae={"uv": "0.14.0"})

    assert brew(brewing, "upgrade uv") == (
        1,
        "",
        "Error: Not upgrading 1 pinned package:\nuv 0.14.0\n",
    )
    assert brew(brewing, "install uv") == (0, "", "Error: uv 0.13.9 is already installed\n")
    brew(brewing, "unpin uv")
    assert brew(brewing, "upgrade uv")[0] == 0


def test_a_full_name_taps_and_trusts_just_that_formula(brewing: Mac) -> None:
    code, _, err = brew(brewing, f"install {TAP}/llama-swap")

    assert code == 0
    assert err == (
        f"==> Tapping {TAP}\n"
        f"Cloning into '{brewing.prefix}/Library/Taps/mostlygeek/homebrew-llama-swap'...\n"
        "Tapped 1 formula (14 files, 10.5KB).\n"
        f"==> Trusted formula {TAP}/llama-swap\n"
    )
    assert brew(brewing, "tap") == (0, f"{TAP}\n", "")
    assert json.loads(brew(brewing, "trust --json=v1")[1]) == {
        "taps": [],
        "formulae": [f"{TAP}/llama-swap"],
        "casks": [],
        "commands": [],
    }
    store = brewing.home / ".homebrew/trust.json"
    assert store.stat().st_mode & 0o777 == 0o600


def test_a_tap_has_to_be_trusted(brewing: Mac) -> None:
    assert brew(brewing, "install llama-swap")[0] == 1  # not in core
    assert brew(brewing, f"tap {TAP}")[0] == 0
    assert brew(brewing, f"tap {TAP}") == (0, "", "")
    assert brew(brewing, "install llama-swap") == (
        1,
        "",
        f"Error: Refusing to load formula {TAP}/llama-swap from untrusted tap {TAP}.\n"
        f"Run `brew trust --formula {TAP}/llama-swap` or `brew trust {TAP}` to trust it.\n",
    )
    assert brew(brewing, f"trust --tap {TAP}") == (0, f"Trusted tap: {TAP}\n", "")
    assert brew(brewing, f"trust --tap {TAP}") == (0, f"Already trusted tap: {TAP}\n", "")
    assert brew(brewing, "trust --tap homebrew/core")[1] == (
        "Official tap homebrew/core is always trusted.\n"
    )
    assert brew(brewing, "install llama-swap")[0] == 0
    assert brew(brewing, f"untrust --tap {TAP}") == (0, f"Untrusted tap: {TAP}\n", "")
    assert brew(brewing, f"untrust --tap {TAP}") == (0, f"Not trusted tap: {TAP}\n", "")
    brewing.set(formulae={"llama-swap": "251"})
    assert brew(brewing, "outdated --json=v2")[2] == (
        f"Warning: Skipping {TAP} because it is not trusted. Run `brew trust {TAP}` to trust it.\n"
    )
    assert brew(brewing, "list --versions llama-swap") == (0, "llama-swap 250\n", "")


def test_homebrew_5_knows_no_trust(brewing: Mac) -> None:
    brewing.set(homebrew="5.1.0")
    brew(brewing, f"tap {TAP}")

    assert brew(brewing, f"trust --tap {TAP}") == (1, "", "Error: Unknown command: brew trust\n")
    assert brew(brewing, "install llama-swap")[0] == 0


def test_an_insecure_trust_store_is_refused(brewing: Mac) -> None:
    folder = brewing.home / ".homebrew"
    folder.mkdir()
    folder.chmod(0o777)

    assert brew(brewing, f"trust --tap {TAP}") == (
        1,
        "",
        f"Error: Refusing to write insecure trust store: {folder}/trust.json\n",
    )


def test_untap(brewing: Mac) -> None:
    assert brew(brewing, f"untap {TAP}") == (
        1,
        "",
        f"Error: No available tap {TAP}.\nRun brew tap-new {TAP} to create a new {TAP} tap!\n",
    )


def test_environment(brewing: Mac) -> None:
    assert brewing.run(f"env -u HOME {brewing.prefix}/bin/brew --version").stderr == (
        "Error: $HOME must be set to run brew.\n"
    )
    assert brew(brewing, "install uv", LAB_AS_ROOT="1")[2].startswith(
        "Error: Running Homebrew as root is extremely dangerous and no longer supported.\n"
    )
    noisy = brewing.run(f"{brewing.prefix}/bin/brew install uv").stderr
    assert noisy.startswith("==> Auto-updating Homebrew...\n")
    assert brewing.run(f"{brewing.prefix}/bin/brew install aria2").stderr == ""


def test_failures_on_demand(brewing: Mac) -> None:
    brewing.set(brew_fail={"ggml": "Failed to download resource", "update": "Fetching failed!"})

    code, _, err = brew(brewing, "install llama.cpp")
    assert (code, err) == (1, "Error: Failed to download resource\n")
    assert brew(brewing, "list --versions llama.cpp")[0] == 1
    assert brew(brewing, "update")[:2] == (1, "")


def test_info(brewing: Mac) -> None:
    brew(brewing, "install llama.cpp")
    told = json.loads(brew(brewing, "info --json=v2 llama.cpp")[1])["formulae"][0]

    assert told["versions"]["stable"] == "0.9.0"
    assert told["installed"][0]["installed_on_request"] is True
    assert told["linked_keg"] == "0.9.0"
    assert brew(brewing, "info --json=v2 nope")[0] == 1


def test_its_python_makes_environments(brewing: Mac, tmp_path: Path) -> None:
    brew(brewing, "install uv python@3.13")
    made = brewing.run(
        f"{brewing.prefix}/bin/uv venv --python {brewing.prefix}/bin/python3.13 {tmp_path}/venv"
    )

    assert made.returncode == 0, made.stderr
    ran = brewing.run(f"{tmp_path}/venv/bin/python -c 'import ssl, sys; print(sys.prefix)'")
    assert ran.stdout == f"{tmp_path}/venv\n"


def test_llama_server_is_there(brewing: Mac) -> None:
    pytest.importorskip("lab.llama_server")
    brew(brewing, "install llama.cpp")
    server = brewing.prefix / "bin/llama-server"

    assert brewing.run(f"{server} --version").returncode == 0


def installer(lab: Lab, mac: Mac) -> tuple[int, str, str]:
    url = f"{lab.hub_url}/homebrew/install.sh"
    result = mac.run(f'NONINTERACTIVE=1 /bin/bash -c "$(curl -fsSL {url})"')
    return result.returncode, result.stdout, result.stderr


def test_the_installer_needs_passwordless_sudo(lab: Lab, mac: Mac) -> None:
    mac.set(homebrew=None)
    assert not mac.prefix.exists()
    code, _, err = installer(lab, mac)
    assert (code, err) == (
        1,
        "Need sudo access on macOS (e.g. the user tester needs to be an Administrator)!\n",
    )

    mac.set(sudo="passwordless", clt=False)
    code, out, _ = installer(lab, mac)
    assert code == 0
    assert "==> Installation successful!\n" in out
    assert brew(mac, "--version") == (0, "Homebrew 6.0.18\n", "")
    assert mac.run("xcode-select -p").returncode == 0
