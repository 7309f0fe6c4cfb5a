"""What is at some paths: enough to tell whether it is what we want there."""

from collections.abc import Iterable
from dataclasses import dataclass

from pyinfra.api import FactBase, FactProcessError, QuoteString, StringCommand

from herd.facts.script import script


@dataclass(frozen=True)
class Entry:
    """`kind` is file, directory, link or absent; mode is octal text ("600"), sha256 hex."""

    kind: str
    mode: str = ""
    sha256: str = ""


def parse(lines: Iterable[str]) -> list[Entry]:
    """The answer of scripts/state.sh, an entry for each path."""
    entries = []
    for line in lines:
        kind, mode, sha256 = ([*line.split(), "", "", ""])[:3]
        if kind not in {"file", "directory", "link", "absent"}:
            raise FactProcessError(f"not the state of a path: {line!r}")
        entries.append(Entry(kind, mode, sha256))
    return entries


class Modes(FactBase[list[str]]):
    """Permissions of the paths in octal text ("600"), in their order; "" for what is not there."""

    def command(self, paths: list[str]) -> StringCommand:
        quoted = [QuoteString(path) for path in paths]
        each = '; do stat -f %Lp "$path" 2>/dev/null || echo; done'
        return StringCommand("for path in", *quoted, each)

    def process(self, output: Iterable[str]) -> list[str]:
        return list(output)


class State(FactBase[list[Entry]]):
    """The entries of the paths, in their order."""

    def command(self, paths: list[str]) -> StringCommand:
        return script("state", *paths)

    def process(self, output: Iterable[str]) -> list[Entry]:
        return parse(output)
