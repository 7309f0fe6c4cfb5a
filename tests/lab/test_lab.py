"""The lab as a whole: starts, is found, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import control, processes
from lab.lab import PROJECT, Lab
from lab.mac import USER
from tests import preloaded

Until = Callable[..., Any]


def test_the_inventory_describes_every_mac(lab: Lab) -> None:
    hosts = runpy.run_path(str(lab.inventory))["macs"]

    assert [name for name, _ in hosts] == ["mac1", "mac2"]
    for name, data in hosts:
        assert data["homebrew_prefix"] == str(lab[name].prefix)
        assert data["homebrew_installer"] == f"{lab.hub_url}/homebrew/install.sh"
        assert data["models"]["gpt-oss-120b"] is None
    ports = {data[key] for _, data in hosts for key in data if key.endswith("_port")}
    assert len(ports) == 8


def test_a_mac_survives_the_lab_its_processes_do_not(tmp_path: Path, until: Until) -> None:
    lab = Lab(tmp_path, ["only"], memsize=68719476736)
    lab.start()
    mac = lab["only"]
    mac.run("nohup sleep 1000 >/dev/null 2>&1 &")
    (mac.home / "kept").touch()
    assert len(mac.processes()) == 1
    lab.stop()
    assert mac.processes() == []

    with Lab(tmp_path) as again:
        assert (again["only"].home / "kept").exists()
        assert again["only"].ports == mac.ports
        assert again["only"].facts["memsize"] == 68719476736


def test_a_killed_daemon_takes_everything_along(tmp_path: Path, until: Until) -> None:
    lab = Lab(tmp_path)
    lab.start()
    mac = lab["mac1"]
    mac.run("nohup sh -c 'trap \"\" TERM HUP; sleep 1000 & wait' >/dev/null 2>&1 &")
    assert mac.processes()
    os.kill(int(control.read_state(tmp_path)["pid"]), signal.SIGKILL)

    until(lambda: not mac.processes())
    lab.stop()


def test_the_token_is_secret_and_needed(lab: Lab) -> None:
    state = lab.directory / control.STATE
    assert state.stat().st_mode & 0o777 == 0o600
    kept = control.read_state(lab.directory)
    try:
        control.write_state(lab.directory, kept | {"token": "guess"})
        with pytest.raises(RuntimeError, match="wrong token"):
            lab["mac1"].control("terminals")
    finally:
        control.write_state(lab.directory, kept)


def command(folder: Path, *words: str, llama_swap: str = "") -> tuple[int, str]:
    here = {
        name: value for name, value in os.environ.items() if name not in ("PATH", "LAB_LLAMA_SWAP")
    }
    named = {"LAB_LLAMA_SWAP": llama_swap} if llama_swap else {}
    named["LAB_LLAMA_SERVER"] = "stand-in"
    result = preloaded.run(
        [sys.executable, "-m", "lab", *words],
        cwd=folder,
        env=here | named | {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(PROJECT)},
        timeout=120,
    )
    return result.returncode, result.stdout + result.stderr


def test_the_command_line(tmp_path: Path) -> None:
    assert command(tmp_path, "status") == (
        1,
        "There is no lab in .lab; `python -m lab up` makes one.\n",
    )
    code, told = command(tmp_path, "up", "--macs", "1", "--homebrew", "absent")
    try:
        assert code == 0
        assert "\n  . .lab/environment\n  make deploy\n" in told
        assert re.fullmatch(
            "export INVENTORY=.lab/inventory.py\n"
            r"export HF_ENDPOINT=http://127.0.0.1:\d+\n"
            r"export API_KEYS=sk-lab-\S{32}\n"
            "unset HERD_API_KEY HF_TOKEN\n",
            (tmp_path / ".lab/environment").read_text(),
        )
        assert "Stop them:\n\n  make lab-down\n" in told
        assert (
            "Their llama-swap: a stand-in for v250; LAB_LLAMA_SWAP can name a real one.\n" in told
        )
        assert "Their llama-server: a stand-in, as LAB_LLAMA_SERVER asks for it.\n" in told
        server, swap, mac = command(tmp_path, "status")[1].splitlines()[1:]
        assert server == "llama-server: a stand-in, as LAB_LLAMA_SERVER asks for it"
        assert swap.startswith("llama-swap: a stand-in for v250")
        assert mac.startswith("mac1: SSH on port ")
        assert command(tmp_path, "shell", "mac1", "id -un; ls -d $LAB_MAC/opt/homebrew")[
            1
        ].startswith("tester\n")
        assert command(tmp_path, "shell", "mac9", "true")[0] == 1
        assert command(tmp_path, "logout", "mac1") == (0, "")
        assert "nobody at the screen" in command(tmp_path, "status")[1]
        command(tmp_path, "shell", "mac1", "nohup sleep 1000 >/dev/null 2>&1 &")
        for secret in ("api_key", "environment"):
            assert (tmp_path / ".lab" / secret).stat().st_mode & 0o777 == 0o600
    finally:
        code, told = command(tmp_path, "down")
    assert (code, told) == (0, "Stopped mac1 and the processes on them (1).\n")
    assert processes.of_mac(str(tmp_path / ".lab/mac1")) == []
    assert command(tmp_path, "down") == (0, "Nothing was running.\n")
    assert command(tmp_path, "status")[0] == 3


@pytest.mark.soak
def test_the_llama_swap_that_is_named_is_the_one_that_is_poured_and_told(tmp_path: Path) -> None:
    """Wherever brew is called from, and in a lab where the stand-in was poured before."""
    poured = ("shell", "mac1", "$LAB_MAC/opt/homebrew/bin/llama-swap -version")
    install = "$LAB_MAC/opt/homebrew/bin/brew install mostlygeek/llama-swap/llama-swap"
    real = tmp_path / "a real one"
    real.write_text("#!/bin/sh\necho 'version: 777 (v777), built at noon'\n")

    assert command(tmp_path, "up", "--macs", "1", llama_swap=str(real)) == (
        1,
        f"LAB_LLAMA_SWAP names {real}, and that is no program that can be run.\n",
    )
    real.chmod(0o755)
    try:
        assert command(tmp_path, "up", "--macs", "1")[0] == 0
        assert command(tmp_path, "shell", "mac1", install)[0] == 0
        assert command(tmp_path, *poured)[1].startswith("version: 250 ")
        command(tmp_path, "down")

        _, told = command(tmp_path, "up", "--macs", "1", llama_swap="a real one")
        assert f"Their llama-swap: the real one, version: 777 (v777), {real}.\n" in told
        assert command(tmp_path, *poured)[1] == "version: 777 (v777), built at noon\n"
        assert f"the real one, version: 777 (v777), {real}" in command(tmp_path, "up")[1]
        over_ssh = brew_over_ssh(Lab(tmp_path / ".lab"), f"brew uninstall llama-swap; {install}")
        assert "Pouring llama-swap--250" in over_ssh
        assert command(tmp_path, *poured)[1] == "version: 777 (v777), built at noon\n"
    finally:
        command(tmp_path, "down")


def brew_over_ssh(lab: Lab, script: str) -> str:
    """As a deploy calls it: by the daemon's sshd, with its environment and not with ours."""
    mac = lab["mac1"]
    known = str(lab.known_hosts).replace("%", "%%")
    return subprocess.run(
        [
            *("ssh", "-F", "/dev/null", "-i", lab.directory / "client_key"),
            *("-o", f'UserKnownHostsFile="{known}"'),
            *("-p", str(mac.ssh_port), f"{USER}@127.0.0.1"),
            f"PATH=$LAB_MAC/opt/homebrew/bin:$PATH; {script}",
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
