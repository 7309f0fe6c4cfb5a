"""Pinned releases that are on a Mac."""

from collections import defaultdict
from collections.abc import Iterable

from pyinfra.api import FactProcessError, StringCommand

from herd.core.mac.releases import Held, There
from herd.facts.fact import Fact
from herd.facts.script import script


def parse(lines: Iterable[str]) -> There:
    """The answer of scripts/look/releases.sh. Raises FactProcessError when it is none."""
    whole: dict[str, list[str]] = defaultdict(list)
    junk: list[str] = []
    named: dict[str, dict[str, str]] = {"current": {}, "before": {}, "kept": {}}
    held: dict[str, Held] = {}
    for line in lines:
        match line.split("\t"):
            case ["whole", software, release]:
                whole[software].append(release)
            case ["junk", path]:
                junk.append(path)
            case [("current" | "before" | "kept") as kind, software, release]:
                named[kind][software] = release
            case ["held", software, release, pinned]:
                held[software] = Held(release, pinned)
            case _:
                raise FactProcessError(f"not what releases.sh says: {line!r}")
    return There(
        whole={software: tuple(releases) for software, releases in whole.items()},
        junk=tuple(junk),
        current=named["current"],
        before=named["before"],
        held=held,
        kept=frozenset(f"{software}/{release}" for software, release in named["kept"].items()),
    )


class PinnedReleases(Fact[There]):
    """Those below the directory of all releases, and which of them could be put back."""

    default = There

    def command(self, directory: str, last_good: str) -> StringCommand:
        return script("releases", directory, last_good)

    def process(self, output: Iterable[str]) -> There:
        return parse(output)
