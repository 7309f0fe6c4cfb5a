"""What Homebrew has installed, and what it trusts."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pyinfra.api import FactProcessError, QuoteString, StringCommand

from herd.facts.fact import Fact
from herd.facts.script import script


@dataclass(frozen=True)
class Packages:
    """Homebrew's state. `formulae` maps short names to their newest installed version.

    `trusted` holds taps and full formula names in lower case; None when this Homebrew, older
    than 6, knows no trust. The whole is None when there is no Homebrew.
    """

    version: tuple[int, ...]
    formulae: Mapping[str, str]
    trusted: frozenset[str] | None

    def trusts(self, full_name: str) -> bool:
        """Whether a formula of a tap ("user/tap/name") may be loaded."""
        tap = full_name.rpartition("/")[0]
        return self.trusted is None or bool({tap, full_name} & self.trusted)


def parse(lines: Iterable[str]) -> Packages | None:
    """The answer of scripts/look/packages.sh."""
    sections: dict[str, list[str]] = {"version": []}
    section = "version"
    for line in lines:
        if line.startswith("--- "):
            section = line.removeprefix("--- ")
            sections[section] = []
        else:
            sections[section].append(line)
    if "formulae" not in sections:
        return None
    version = re.search(r"\d+(?:\.\d+)*", "\n".join(sections["version"]))
    words = [line.split() for line in sections["formulae"]]
    return Packages(
        version=tuple(map(int, version[0].split("."))) if version else (),
        formulae={name: versions[-1] for name, *versions in words if versions},
        trusted=_trusted("\n".join(sections.get("trust", []))),
    )


def _trusted(text: str) -> frozenset[str] | None:
    if not text.strip():
        return None
    try:
        trust = json.loads(text)
        return frozenset(trust.get("taps", [])) | frozenset(trust.get("formulae", []))
    except (ValueError, AttributeError, TypeError) as error:
        raise FactProcessError(f"`brew trust --json=v1` gave no list: {error}") from error


class Brew(Fact[Packages | None]):
    """Formulae and trust, in one question."""

    def command(self, homebrew_prefix: str) -> StringCommand:
        return script("packages", homebrew_prefix)

    def process(self, output: Iterable[str]) -> Packages | None:
        return parse(output)


class Outdated(Fact[list[str]]):
    """Those of the formulae that Homebrew, after a look at what is new, would upgrade; it waits
    `patience` seconds for its lock."""

    @staticmethod
    def default() -> list[str]:
        return []

    def command(self, homebrew_prefix: str, patience: int, names: list[str]) -> StringCommand:
        self.names = names
        return script("outdated", homebrew_prefix, patience, *names)

    def process(self, output: Iterable[str]) -> list[str]:
        try:
            answer = json.loads("\n".join(output))
            outdated = {str(formula["name"]) for formula in answer["formulae"]}
        except (ValueError, KeyError, TypeError) as error:
            raise FactProcessError(f"`brew outdated` gave no list: {error!r}") from error
        short = {name.rpartition("/")[2] for name in outdated}
        return [name for name in self.names if name.rpartition("/")[2] in short]


class InstalledByUs(Fact[list[str]]):
    """Formulae that deploys of a stack installed, as they noted them; none where the last deploy
    was before that was noted."""

    default = list

    def command(self, path: str) -> StringCommand:
        return StringCommand("! [ -f", QuoteString(path), "] || cat", QuoteString(path))

    def process(self, output: Iterable[str]) -> list[str]:
        return [line for line in output if re.fullmatch(r"[\w.@+-]+(/[\w.-]+/[\w.@+-]+)?", line)]
