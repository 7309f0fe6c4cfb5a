"""macOS's application firewall, which lets programs in by their path (socketfilterfw).

What Homebrew brings is signed by nobody whom it trusts, and has another path after each upgrade:
then clients in the network are dropped without a word. What it says of a change is true also of one
that it did not make.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from herd.core.mac.layout import Layout
from herd.core.mac.root_command import Command, Pattern, literally
from herd.core.settings.problems import Problem
from herd.core.settings.schema import Settings

SOCKETFILTERFW = "/usr/libexec/ApplicationFirewall/socketfilterfw"
ALLOW, BLOCK, ABSENT = "allow", "block", "absent"
_BLOCKS_ALL = 2
_PREFIX = "firewall: "


@dataclass(frozen=True)
class Firewall:
    """`state` is 0 (off), 1 (on) or 2 (lets nobody in); `apps` are those of its list, by path:
    "allow" or "block". `program` is the path of what the proxy really runs, "" where there is none
    yet."""

    state: int
    apps: Mapping[str, str]
    program: str

    def value(self, name: str) -> str:
        """What becomes of a program; that of a bundle may be listed by the bundle."""
        path = name.removeprefix(_PREFIX)
        bundle = path.partition("/Contents/MacOS/")[0]
        return self.apps.get(path) or self.apps.get(bundle) or ABSENT


def asked(layout: Layout) -> list[str]:
    """Where Homebrew has the proxy's Python, and its version."""
    python = layout.settings.proxy_python
    return [f"{layout.settings.homebrew_prefix}/opt/{python}", python.rpartition("@")[2]]


def root(layout: Layout) -> Iterator[Command]:
    """What only root may do of it, whichever version of that Python comes."""
    yield (SOCKETFILTERFW, "--getglobalstate")
    yield (SOCKETFILTERFW, "--listapps")
    prefix, python = layout.settings.homebrew_prefix, layout.settings.proxy_python
    within = f"Versions/{python.rpartition('@')[2]}/Resources/Python.app/Contents/MacOS/Python"
    yield (
        SOCKETFILTERFW,
        Pattern(
            f"--(add|remove|blockapp|unblockapp) {literally(prefix)}/Cellar/{literally(python)}/"
            f"[0-9._]+/Frameworks/{literally(f'Python.framework/{within}')}"
        ),
    )


def parse(state: Iterable[str], apps: Iterable[str], program: str) -> Firewall:
    """The answers of `--getglobalstate` and `--listapps`. Raises ValueError when they are none."""
    said = re.search(r"\(State = ([012])\)", "\n".join(state))
    lines = list(apps)
    if not said or not any(line.startswith("Total number of apps") for line in lines):
        raise ValueError("socketfilterfw does not say what the application firewall lets in")
    found, path = {}, ""
    for line in lines:
        if row := re.fullmatch(r"\s*\d+ :\s+(/.*?)/?\s*", line):
            path = row[1]
        elif path and (verdict := re.fullmatch(r"\s*\( ?(Allow|Block) incoming .*\)\s*", line)):
            found[path] = ALLOW if verdict[1] == "Allow" else BLOCK
    return Firewall(int(said[1]), found, program)


def wanted(settings: Settings, firewall: Firewall) -> dict[str, str]:
    """What is to hold for the proxy's Python, which may still have to be installed; llama-swap and
    llama-server listen on loopback, which it never closes. Whether it is on is for people to say.
    """
    if settings.mac_firewall_exception is None:
        return {}
    program = firewall.program or "the proxy's Python"
    return {f"{_PREFIX}{program}": ALLOW if settings.mac_firewall_exception else ABSENT}


def commands(name: str, value: str) -> list[list[str]]:
    """What sets it, as root."""
    path = name.removeprefix(_PREFIX)
    if value == ABSENT:
        return [[SOCKETFILTERFW, "--remove", path]]
    allow = "--unblockapp" if value == ALLOW else "--blockapp"
    return [[SOCKETFILTERFW, "--add", path], [SOCKETFILTERFW, allow, path]]


def owns(name: str) -> bool:
    """Whether a setting is one of these."""
    return name.startswith(_PREFIX)


def problems(settings: Settings, firewall: Firewall) -> Iterator[Problem]:
    """One that lets nobody in, whatever is in its list."""
    if settings.mac_firewall_exception and firewall.state == _BLOCKS_ALL:
        yield Problem(
            "application firewall",
            "It blocks all incoming connections, so no exception counts and no client gets in.",
            'turn "Block all incoming connections" off under System Settings > Network > Firewall '
            "> Options.",
            kind="mac",
        )
