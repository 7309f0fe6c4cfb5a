"""One simulated Mac: its folder, its facts (in a file, read anew at each use), its environment.

A deploy starts a hundred stand-ins, and each imports this. So nothing is imported above that costs
more than what it does: half of such a start were pathlib, typing, json, enum and re.
"""

from __future__ import annotations

import fcntl
import marshal
import os

from lab.processes import MARKER

TYPE_CHECKING = False  # typing's own costs as much as Python's start
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

USER = "tester"
UID = 501  # the first user of a Mac, in group staff
GID = 20

# What is root's alone, so that no settings lead there: what names it over SSH gets this Mac's.
ROOTS = (
    "/Library/LaunchDaemons",
    "/etc/newsyslog.d",
    "/etc/pf.anchors",
    "/etc/sudoers.d",
    "/sbin/pfctl",
    "/var/run",
)

SYSTEM_DIRS = ("usr/bin", "bin", "usr/sbin", "sbin")  # sshd's USER_PATH on macOS, in its order

DEFAULTS: dict[str, Any] = {
    "macos": "26.1",
    "arch": "arm64",
    "chip": "Apple M4 Max",
    "memsize": 137438953472,
    "cores": 16,
    "performance_cores": 12,
    "clt": True,  # Command Line Tools
    "shell": "/bin/zsh",  # of the user, or "/bin/bash", or one that the workstation has, too
    "console": True,  # somebody is logged in at the screen: the domain gui/501 exists
    "sudo": "password",  # or "passwordless", or rules of sudoers: what needs none
    "disk_total_kb": 1942700360,
    "disk_free_kb": 900000000,
    "homebrew": "6.0.18",  # or None: not installed
    "formulae": {},  # name: current version, over lab.homebrew's own table
    "brew_fail": {},  # formula or sub-command: text of the error
    "brew_hang": [],  # formulae or sub-commands that never come back
    "volumes": {},  # further ones by mount point below the Mac's root: "Volumes/Fast": "exfat"
    "prefix_owner": None,  # another account, if Homebrew's prefix is not the user's
    "llama_server": "current",  # the variant lab.llama_server writes
    "fit_params": None,  # or KiB that the stand-in of llama-fit-params tells of a token
    "quarantined": {},  # com.apple.quarantine by the number of a file (lab.lab.Mac.quarantines)
    "firewall": 0,  # socketfilterfw's State
    "firewall_apps": {},  # by path: "Allow" or "Block"
    "pf": {"enabled": False, "references": [], "anchors": {}},
    "filevault": False,
    "wired_limit_mb": 0,
    "sysctl": {},  # further oids; "lab.metal_for_daemons": "0" hides the GPU outside of sessions
    "power": {
        "sleep": "1",
        "displaysleep": "10",
        "disksleep": "10",
        "womp": "1",
        "autorestart": "0",
        "powernap": "1",
        "standby": "0",
        "networkoversleep": "0",
        "ttyskeepawake": "1",
        "tcpkeepalive": "1",
        "Sleep On Power Button": "1",
    },
    "power_source": "AC Power",  # or "Battery Power", "UPS Power"
    "battery": None,  # of a laptop: the same on its battery
    "power_lacks": [],  # rows that this model cannot have: pmset lists none, and sets none
    "sleep_disabled": None,  # pmset's disablesleep; None is never set
    "defaults": {},  # by "DOMAIN KEY", as `defaults read` prints it
    "lies": [],  # tools that say they did what they did not: "pmset", "socketfilterfw", ...
    "boottime": 0,
    "no_gui_print": 112,  # `launchctl print gui/501` with nobody logged in: 112 and 125 both seen
}

# "The lab's network": what the workstation's own clients need to get out, a Mac's would too.
NETWORK_PREFIXES = ("UV_", "PIP_")
NETWORK_NAMES = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
)


def network_environment() -> dict[str, str]:
    """The workstation's certificate, proxy and package index settings, with its uv cache."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in NETWORK_NAMES or name.startswith(NETWORK_PREFIXES)
    }
    home = os.path.expanduser("~")
    kept.setdefault("UV_CACHE_DIR", f"{home}/.cache/uv")
    config = f"{home}/.config/uv/uv.toml"
    if os.path.isfile(config):
        kept.setdefault("UV_CONFIG_FILE", config)
    return kept


def workstation_programs() -> dict[str, str]:
    """What a Mac's Homebrew pours of the workstation's own; a Mac cannot look at our PATH.

    Raises lab.real.NotThere.
    """
    from lab import fit_params, llama_server, llama_swap  # not for every stand-in command

    named = {llama_server.NAMED: str(llama_server.find() or llama_server.STAND_IN)}
    others = {llama_swap.NAMED: llama_swap.find(), fit_params.NAMED: fit_params.find()}
    return named | {name: str(path) for name, path in others.items() if path}


class Machine:
    """The folder of one Mac, as its stand-ins, its daemon and its tests see it."""

    def __init__(self, root: str | Path) -> None:
        self.folder = str(root)
        self.lab_folder, self.name = os.path.split(self.folder)

    @property
    def root(self) -> Path:
        from pathlib import Path

        return Path(self.folder)

    @property
    def home(self) -> Path:
        return self.root / "Users" / USER

    @property
    def prefix(self) -> Path:
        return self.root / "opt/homebrew"

    @property
    def tmp(self) -> Path:
        return self.root / "private/var/folders/T"

    # -- facts

    @property
    def facts(self) -> dict[str, Any]:
        """Everything that varies, with defaults filled in."""
        return DEFAULTS | self._stored()

    def set(self, **facts: Any) -> None:
        """Change facts; the next command sees them."""
        os.makedirs(self.folder, exist_ok=True)
        with open(f"{self.folder}/.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            merged = self._stored() | facts
            draft = f"{self.facts_file}.new"
            with open(draft, "wb") as file:
                marshal.dump(merged, file)
            os.replace(draft, self.facts_file)

    @property
    def facts_file(self) -> str:
        """What was set. As marshal has it, which a stand-in can read without further imports."""
        return f"{self.folder}/mac.facts"

    def _stored(self) -> dict[str, Any]:
        try:
            with open(self.facts_file, "rb") as file:
                stored: dict[str, Any] = marshal.load(file)
                return stored
        except FileNotFoundError:
            return {}

    @property
    def macos_major(self) -> int:
        return int(str(self.facts["macos"]).split(".")[0])

    # -- what happened

    def record(self, kind: str, text: str) -> None:
        """Note a remote action; one line each, appended whole."""
        import json

        with open(self.root / "remote.log", "a") as file:
            file.write(json.dumps([kind, text]) + "\n")

    # -- environment

    @property
    def path(self) -> str:
        return ":".join(f"{self.folder}/{folder}" for folder in SYSTEM_DIRS)

    def environment(self, session: str = "Background") -> dict[str, str]:
        """What sshd and launchd give a program; `session` is its launchctl managername."""
        return (
            network_environment()
            | workstation_programs()
            | {
                MARKER: self.folder,
                "LAB_SESSION": session,
                "HOME": str(self.home),
                "USER": USER,
                "LOGNAME": USER,
                "SHELL": self.facts["shell"],
                "TMPDIR": f"{self.tmp}/",
                "PATH": self.path,
            }
        )

    def own(self, program: str) -> str:
        """Where this Mac keeps a program that macOS has at an absolute path.

        A path of a system folder that this Mac has not got stays inside the Mac, so that it
        fails as on macOS even when the workstation has such a program.
        """
        inside = self.folder + program
        system = any(program.startswith(f"/{folder}/") for folder in SYSTEM_DIRS)
        return inside if system or os.path.lexists(inside) else program

    def quarantine(self, path: str | Path) -> str | None:
        """The attribute com.apple.quarantine of a file; it is of the file, not of its name."""
        try:
            found: str | None = self.facts["quarantined"].get(os.stat(path).st_ino)
            return found
        except OSError:
            return None

    def inside(self, command: str) -> str:
        """A command line in which root's own folders (`ROOTS`) are this Mac's; what a property
        list in it says is launchd's to read."""
        import re

        roots = rf"(<plist\S*</plist>)|(?<![\w.$/-])(?=(?:{'|'.join(ROOTS)})(?![\w-]))"
        return re.sub(roots, lambda found: found[1] or self.folder, command)

    def outside(self, word: str) -> str:
        """The same seen from this Mac: its own programs and root's folders by their paths there."""
        for folder in (*ROOTS, *(f"/{folder}/" for folder in SYSTEM_DIRS)):
            word = word.replace(self.folder + folder, folder)
        return word

    def booted(self) -> None:
        """What a start of the machine resets: its clock of uptime, the volatile sysctls, pf and
        /var/run."""
        import time

        for file in os.scandir(f"{self.folder}/private/var/run"):
            os.unlink(file)

        off = {
            "enabled": False,
            "references": [],
            "anchors": {},
        }  # com.apple.pfctl loads, and no more
        self.set(boottime=int(time.time()), wired_limit_mb=0, pf=self.facts["pf"] | off)
