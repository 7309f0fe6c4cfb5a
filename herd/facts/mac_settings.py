"""Settings of the Mac itself, as far as a deploy keeps them, and what they were before it did."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pyinfra.api import FactProcessError, QuoteString, StringCommand

from herd.core.mac import (
    application_firewall,
    managed,
    packet_filter,
    power,
    software_updates,
    wired_limit,
)
from herd.core.mac.managed import State
from herd.core.text.quoting import elided
from herd.facts.fact import Fact
from herd.facts.script import script


def parse(lines: Iterable[str]) -> State:
    """The answer of scripts/look/mac-settings.sh. Raises FactProcessError when it is none."""
    said: dict[str, list[str]] = {}
    for line in lines:
        name, tab, rest = line.partition("\t")
        if not tab or (not name and not said):
            raise FactProcessError(f"not what mac-settings.sh says: {line!r}")
        if name:
            said[name] = []
        else:
            said[list(said)[-1]].append(rest)
    found: dict[str, Any] = {"newsyslog": tuple(filter(None, said.pop("newsyslog", ())))}
    unread: dict[str, str] = {}
    for kind, (names, read) in _READ.items():
        if answers := [said[name] for name in names if name in said]:
            try:
                found[kind] = read(*answers)
            except (TypeError, ValueError) as error:
                unread[kind] = _words(answers) or str(error)
    return State(**found, unread=unread)


_READ: Mapping[str, tuple[tuple[str, ...], Callable[..., Any]]] = {
    managed.POWER: (("live", "custom"), power.parse),
    managed.UPDATES: (("own", "managed"), software_updates.parse),
    managed.FIREWALL: (
        ("state", "apps", "program"),
        lambda state, apps, program: application_firewall.parse(state, apps, program[0]),
    ),
    managed.WIRED: (("wired",), lambda lines: wired_limit.parse(lines[0])),
    managed.NETWORKS: (("info", "main", "ours"), packet_filter.parse),
}


def _words(answers: Iterable[list[str]]) -> str:
    """Sudo's own, which say more than that an answer is none."""
    lines = (line for answer in answers for line in answer if "sudo" in line.lower())
    return elided(next(lines, ""), 200)


class MacSettings(Fact[State]):
    """`asked` has the words for the script."""

    default = State

    def command(self, asked: list[str]) -> StringCommand:
        return script("mac-settings", *asked)

    def process(self, output: Iterable[str]) -> State:
        return parse(output)


class Before(Fact[dict[str, str]]):
    """What settings were before a deploy changed them first, by name; empty where none was."""

    default = dict

    def command(self, path: str) -> StringCommand:
        return StringCommand("cat", QuoteString(path), "2>/dev/null || true")

    def process(self, output: Iterable[str]) -> dict[str, str]:
        return managed.parse_record(output)
