"""Which releases and environments of the proxy are on the Mac, and whose keys."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from pyinfra.api import FactProcessError, QuoteString, StringCommand

from herd.facts.fact import Fact
from herd.facts.script import script
from herd.workstation.api_keys import Mark


@dataclass(frozen=True)
class Installed:
    """Absolute paths: `whole` can be used, `junk` was left by a run that was killed, `kept` are
    named by definitions that could be put back."""

    whole: frozenset[str]
    junk: frozenset[str]
    kept: frozenset[str] = frozenset()


class Releases(Fact[Installed]):
    """What is in the proxy's directory."""

    @staticmethod
    def default() -> Installed:
        return Installed(frozenset(), frozenset())

    def command(self, directory: str) -> StringCommand:
        self.directory = directory
        return script("proxy-state", directory)

    def process(self, output: Iterable[str]) -> Installed:
        paths: dict[str, set[str]] = {"whole": set(), "junk": set(), "kept": set()}
        for line in output:
            kind, _, name = line.partition(" ")
            if kind not in paths or not name:
                raise FactProcessError(f"not a release or environment: {line!r}")
            paths[kind].add(f"{self.directory}/{name}")
        return Installed(*map(frozenset, paths.values()))


class KeyMarks(Fact[list[Mark]]):
    """Of each key of a config.json; no key, nor its hash, is asked for."""

    default = list

    def command(self, path: str) -> StringCommand:
        return script("key-marks", path)

    def process(self, output: Iterable[str]) -> list[Mark]:
        # It is for a person to read, so a file that says nothing to us is no failure.
        return [Mark(*words) for line in output if len(words := line.split()) == 2]


class Availability(Fact[str]):
    """What a proxy's owner said of new requests, as "drain: a new disk"; "" is that they are
    taken."""

    default = str

    def command(self, path: str) -> StringCommand:
        return StringCommand("! [ -f", QuoteString(path), "] || cat", QuoteString(path))

    def process(self, output: Iterable[str]) -> str:
        try:
            said = json.loads("\n".join(output))
            state, reason = str(said["state"]), str(said.get("reason", ""))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return ""  # the proxy goes by no such word, either
        return f"{state}: {reason}" if reason else state
