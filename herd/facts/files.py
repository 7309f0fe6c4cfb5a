"""What is at some paths: enough to tell whether it is what we want there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pyinfra.api import FactProcessError, QuoteString, StringCommand

from herd.facts.fact import Fact
from herd.facts.script import script

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """`kind` is file, directory, link or absent; mode is octal text ("600"), sha256 hex."""

    kind: str
    mode: str = ""
    sha256: str = ""


def parse(lines: Iterable[str]) -> list[Entry]:
    """The answer of scripts/look/state.sh, an entry for each path."""
    entries = []
    for line in lines:
        kind, mode, sha256 = ([*line.split(), "", "", ""])[:3]
        if kind not in {"file", "directory", "link", "absent"}:
            raise FactProcessError(f"not the state of a path: {line!r}")
        entries.append(Entry(kind, mode, sha256))
    return entries


class Modes(Fact[list[str]]):
    """Permissions of the paths in octal text ("600"), in their order; "" for what is not there."""

    def command(self, paths: list[str]) -> StringCommand:
        self.paths = paths
        return script("modes", *paths)

    def process(self, output: Iterable[str]) -> list[str]:
        return _one_each(self.paths, list(output))


class Says(Fact[bool]):
    """Whether a file holds a text."""

    default = bool

    def command(self, path: str, text: str) -> StringCommand:
        quoted = (QuoteString(text), QuoteString(path))
        return StringCommand("! grep -qsF -e", *quoted, "|| echo yes")

    def process(self, output: Iterable[str]) -> bool:
        return "yes" in output


class State(Fact[list[Entry]]):
    """The entries of the paths, in their order."""

    def command(self, paths: list[str]) -> StringCommand:
        self.paths = paths
        return script("state", *paths)

    def process(self, output: Iterable[str]) -> list[Entry]:
        return _one_each(self.paths, parse(output))


def _one_each(paths: Sequence[str], found: list[T]) -> list[T]:
    """Raises FactProcessError when there is not one of them for each path."""
    if len(found) != len(paths):
        raise FactProcessError(f"{len(found)} lines about {len(paths)} paths")
    return found
