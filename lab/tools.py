"""Builds a Mac's folders: the tools a stock Mac has, and Homebrew's prefix when it is installed."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from lab import llama_server, llama_swap
from lab.commands import ANSWERED, ASKED_WITH, BORROWED, STAND_INS, STATE
from lab.commands.base import workstation
from lab.mac import SYSTEM_DIRS, Machine

RUNNER = Path(__file__).with_name("commands") / "run.py"
# Whom lab.commands.answering answers need not start Python.
ASKING = """\
#!{bash}
if {{
  {{ read -r port; read -r token; }} <{state} && exec 3<>"/dev/tcp/127.0.0.1/$port"
}} 2>/dev/null; then
  trap '' PIPE  # whoever has hung up must not end this
  printf '%s\\0' "$#" "$token" "$$" {what} "$PWD" {environment} "$@" >&3 2>/dev/null
  trap - PIPE
  if IFS= read -r -d '' out <&3 && IFS= read -r -d '' err <&3 && read -r code <&3; then
    printf %s "$out"
    printf %s "$err" >&2
    exit "$code"
  fi
  exec 3>&-
fi
{start}"""

# What the workstation's own does just as macOS's would, it does: Python's start takes ten times
# as long, and there is a dozen of these in a run that changes nothing.
AS_IS = {
    "sed": ("sed", 'case "${{1-}}" in [!-]*) exec {program} -- "$@" ;; esac\n'),
    "shasum": ("sha256sum", '[ "$*" != "-a 256" ] || exec {program}\n'),
}


def create(mac: Machine) -> None:
    """A stock Mac's folders and tools; leaves what a user has put there."""
    for folder in (
        *SYSTEM_DIRS,
        "usr/libexec/ApplicationFirewall",
        "private/etc/paths.d",
        "private/etc/newsyslog.d",
        "private/etc/pf.anchors",
        "private/etc/sudoers.d",
        "private/tmp",
        "private/var/run",
        "Library/LaunchAgents",
        "Library/LaunchDaemons",
    ):
        (mac.root / folder).mkdir(parents=True, exist_ok=True)
    (mac.home / "Library").mkdir(parents=True, exist_ok=True)
    mac.tmp.mkdir(parents=True, exist_ok=True, mode=0o700)
    mac.tmp.chmod(0o700)  # Apple's sshd gives every user one of his own
    for folder in ("etc", "tmp", "var"):
        link = mac.root / folder
        if not link.is_symlink():
            link.symlink_to(f"private/{folder}")
    for folder, names in BORROWED.items():
        for name in names.split():
            own = mac.root / folder / name
            found = workstation(name)
            if found and not own.is_symlink():
                own.symlink_to(found)
    write_mv(mac.root / "bin/mv")
    for folder, modules in STAND_INS.items():
        for module, names in modules.items():
            for name in names.split():
                write_stand_in(mac, mac.root / folder / name, module, name)
    sync(mac)


def write_mv(own: Path) -> None:
    """mv(1) of BSD, whose -h takes a link to a directory for the link that it is: GNU's -T."""
    found = workstation("mv")
    if own.exists() or not found:
        return
    if sys.platform == "darwin":
        own.symlink_to(found)
        return
    gnu = shlex.quote(found)
    draft = own.with_name(".mv.new")
    draft.write_text(
        f'#!/bin/sh\n[ "$1" != -hf ] || {{ shift; set -- -fT "$@"; }}\nexec {gnu} "$@"\n'
    )
    draft.chmod(0o755)
    draft.replace(own)


def sync(mac: Machine) -> None:
    """What depends on facts: the sums that came with macOS 15, Homebrew itself."""
    for name in ("sha256sum", "md5sum"):
        own = mac.root / "sbin" / name
        if mac.macos_major < 15:
            own.unlink(missing_ok=True)
        elif not own.exists():
            write_stand_in(mac, own, "hashes", name)
    brew = mac.prefix / "bin/brew"
    if mac.facts["homebrew"]:
        if not brew.exists():
            install_homebrew(mac)
    elif mac.prefix.exists():
        shutil.rmtree(mac.prefix)


def install_homebrew(mac: Machine) -> None:
    """An empty prefix, owned by the user."""
    for folder in ("bin", "sbin", "etc", "opt", "Cellar", "var/homebrew/pinned", "Library/Taps"):
        (mac.prefix / folder).mkdir(parents=True, exist_ok=True)
    write_stand_in(mac, mac.prefix / "bin/brew", "brew", "brew")


def renew(mac: Machine) -> None:
    """What was poured of the workstation in an earlier life of the lab gives way to today's."""
    swap, server = mac.prefix / "bin/llama-swap", mac.prefix / "bin/llama-server"
    if swap.exists():
        llama_swap.write_wrapper(swap.resolve())
    if server.exists():
        llama_server.write_wrapper(server.resolve(), mac.facts["llama_server"])


def write_stand_in(mac: Machine, path: Path, module: str, name: str) -> None:
    """A script at `path` that runs the stand-in.

    sh in between, because the line after #! may be too long for an interpreter deep in a folder.
    """
    function = name.replace("-", "_")
    # So that `ps` shows Homebrew's as on a Mac: ruby … /opt/homebrew/Library/Homebrew/brew.rb ….
    shown = [f"-X{mac.prefix}/Library/Homebrew/brew.rb"] if name == "brew" else []
    words = [sys.executable, "-I", "-S", *shown, str(RUNNER), mac.folder, module, function]
    script = f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n'
    bash = workstation("bash")
    if bash and function in ANSWERED.get(module, "").split():
        script = ASKING.format(
            bash=bash,
            state=shlex.quote(f"{mac.lab_folder}/{STATE}"),
            what=shlex.join([mac.folder, module, function]),
            environment=" ".join(f'"${name}"' for name in ASKED_WITH),
            start=script.partition("\n")[2],
        )
    if name in AS_IS and sys.platform != "darwin":
        own, line = AS_IS[name]
        if found := workstation(own):
            first, rest = script.split("\n", 1)
            script = f"{first}\n{line.format(program=shlex.quote(found))}{rest}"
    if path.exists() and path.read_text() == script:
        return  # a running Mac must not lose its tools for a moment
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(script)
    draft.chmod(0o755)
    draft.replace(path)
