"""Pull mode: a Mac that deploys to itself, as what the inventory has it."""

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from herd.core.mac.layout import SYSTEM_PATH
from lab.lab import Mac
from lab.mac import ROOTS
from tests import preloaded
from tests.e2e.fleet import KEY, PROJECT, SENTENCE, Fleet, plain

LABEL = "com.moonspirit.pull"


def in_front(mac: Mac, directory: Path) -> str:
    """A PATH on which `sh` does for a program of this Mac what its sshd does for a connection: the
    paths in a command are those of macOS."""
    translating = directory / "translating.py"
    translating.write_text(
        f"""import os, re, sys
words = sys.argv[1:]
if words[:1] == ["-c"]:
    text = words[1].replace("PATH={SYSTEM_PATH}", "PATH={mac.path}")
    words[1] = re.sub(r"(?<![\\w.$/-])(?={"|".join(ROOTS)})", "{mac.root}", text)
os.environ["PATH"] = "{mac.path}"
os.execv("{mac.root}/bin/sh", ["sh", *words])
"""
    )
    shell = directory / "sh"
    command = shlex.join([sys.executable, "-IS", str(translating)])
    shell.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    shell.chmod(0o755)
    return f"{directory}:{mac.path}"


def pulling(fleet: Fleet, directory: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """`make pull` on mac1 itself."""
    mac = fleet["mac1"]
    path = in_front(mac, directory)

    def pull(*words: str) -> "subprocess.CompletedProcess[str]":
        return preloaded.run(
            [sys.executable, "-m", "herd", "pull", "--inventory", str(fleet.lab.inventory), *words],
            cwd=PROJECT,
            env={
                **mac.environment(),
                **{"PATH": path, "PYTHONPATH": str(PROJECT), "API_KEYS": KEY},
                "HF_ENDPOINT": fleet.lab.hub_url,
            },
            timeout=300,
        )

    return pull


def test_a_mac_deploys_to_itself_and_its_launchd_does_so_again(
    make_fleet: Callable[..., Fleet], tmp_path: Path
) -> None:
    fleet = make_fleet("mac1", "mac2")
    mac = fleet["mac1"]
    pull = pulling(fleet, tmp_path)

    nobody = pull("--host", "mac3")
    assert nobody.returncode == 1
    assert (
        "mac3 is no one host of the inventory; say which this Mac is with --host" in nobody.stderr
    )

    first = pull()
    assert first.returncode == 0, first.stderr
    assert fleet.says() == SENTENCE
    second = pull()
    assert "changed:  nothing" in plain(second.stdout + second.stderr)
    # Neither of them went through SSH, or to the other one.
    assert mac.log == fleet["mac2"].log == []

    # What a push from elsewhere would write is the same.
    pushed = fleet.deploy("--limit", "mac1")
    assert pushed.code == 0, pushed.err
    assert pushed.changed("mac1") == set()

    every = pull("--every", "60")
    assert every.returncode == 0, every.stderr
    assert mac.launchd.job(LABEL)
    assert shlex.split(every.stdout)[:4] == ["This", "Mac", "pulls", "now,"]
    again = pull("--every", "60")
    assert again.stdout.startswith("This Mac pulls every 60 minutes, as mac1; ")
    assert pull("--every", "0").stdout == "This Mac pulls no more by itself.\n"
    assert mac.launchd.job(LABEL) is None
    assert not (mac.home / f"Library/LaunchAgents/{LABEL}.plist").exists()


@pytest.mark.soak
def test_who_takes_the_stack_off_takes_that_along(
    make_fleet: Callable[..., Fleet], tmp_path: Path
) -> None:
    """Or it would come back."""
    fleet = make_fleet("mac1")
    mac = fleet["mac1"]
    assert fleet.deploy("--limit", "mac1").code == 0
    assert pulling(fleet, tmp_path)("--every", "60").returncode == 0
    assert mac.launchd.job(LABEL)
    gone = fleet.herd("uninstall", "--yes", "--limit", "mac1")
    assert gone.code == 0, gone.err
    assert mac.launchd.job(LABEL) is None
    assert not list(mac.home.glob("Library/L*/*pull*"))
    mac.clear_log()
    assert fleet.herd("uninstall", "--yes", "--limit", "mac1").code == 0
    assert [text for kind, text in mac.log if "rm -f" in text] == []
