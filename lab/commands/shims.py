"""/usr/bin/git and /usr/bin/python3 of macOS: shims that want the Command Line Tools."""

from __future__ import annotations

from lab.commands.base import fail, hand_over
from lab.mac import Machine


def git(mac: Machine, args: list[str]) -> int:
    return _shim("git", mac, args)


def python3(mac: Machine, args: list[str]) -> int:
    return _shim("python3", mac, args)


def pip3(mac: Machine, args: list[str]) -> int:
    return _shim("pip3", mac, args)


def _shim(name: str, mac: Machine, args: list[str]) -> int:
    """Without the tools: a note, a dialogue on the screen, exit 1 (measured on a wiped mini)."""
    if not mac.facts["clt"]:
        note = "xcode-select: note: No developer tools were found, requesting install."
        return fail(
            f"{note}\nIf developer tools are located at a non-default location on disk, use"
            " `sudo xcode-select --switch path/to/Xcode.app` to specify the Xcode that you wish to"
            " use for command line developer tools, and cancel the installation dialog."
        )
    hand_over(name, args, mac)


def lab_homebrew(mac: Machine, args: list[str]) -> int:
    """Not of macOS: the part of the installer's stand-in that makes the prefix."""
    from lab.tools import install_homebrew

    version = mac.facts["homebrew"] or "6.0.18"
    mac.set(homebrew=version)
    install_homebrew(mac)
    return 0
