"""Which versions of Homebrew's programs are linked, without the second that asking brew takes."""

import re
from collections.abc import Iterable, Mapping

from pyinfra.api import QuoteString, StringCommand

from herd.facts.fact import Fact


class Linked(Fact[Mapping[str, str]]):
    """Versions by formula ({"llama.cpp": "0.9.0"}), from where Homebrew's links point."""

    default = dict

    def command(self, homebrew_prefix: str, programs: list[str]) -> StringCommand:
        paths = [QuoteString(f"{homebrew_prefix}/bin/{program}") for program in programs]
        return StringCommand("for link in", *paths, '; do readlink "$link"; done; true')

    def process(self, output: Iterable[str]) -> Mapping[str, str]:
        found = (re.search(r"Cellar/([^/]+)/([^/]+)/", line) for line in output)
        return {match[1]: match[2] for match in found if match}
