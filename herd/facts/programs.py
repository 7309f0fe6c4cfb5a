"""Which versions of programs run, by where links lead, without the second that asking brew takes;
and whose they are."""

import re
from collections.abc import Iterable, Mapping

from pyinfra.api import FactProcessError, QuoteString, StringCommand

from herd.core.mac.packages import Link, Programs
from herd.facts.fact import Fact
from herd.facts.mac import folder
from herd.facts.script import script


class Linked(Fact[Mapping[str, str]]):
    """Versions by formula ({"llama.cpp": "0.9.0"}), from where Homebrew's links point; of a pinned
    release, the name of its directory. A HAProxy that is no link, as on Linux, tells its own."""

    default = dict

    def command(self, links: list[str]) -> StringCommand:
        quoted = [QuoteString(link) for link in links]
        # That to a release names its neighbour.
        told = (
            'to=$(readlink "$link"); case $to in */*) ;; ?*) to=${link%/*}/$to ;; '
            '"") case $link in haproxy) to=$(PATH=/usr/local/sbin:/usr/local/bin:$PATH; '
            "haproxy -v 2>/dev/null | head -n 1) ;; esac ;; esac"
        )
        return StringCommand("for link in", *quoted, f"; do {told}; printf '%s\\n' \"$to\"; done")

    def process(self, output: Iterable[str]) -> Mapping[str, str]:
        output = list(output)
        found = (re.search(r"(?:Cellar|releases)/([^/]+)/([^/]+)(?:/|$)", line) for line in output)
        told = (re.match(r"(HAProxy) version (\S+)", line) for line in output)
        return {match[1].lower(): match[2] for match in (*found, *told) if match}


def parse(lines: Iterable[str]) -> Programs:
    """The answer of scripts/look/programs.sh. Raises FactProcessError when it is none."""
    links, folders, groups = {}, [], frozenset[int]()
    for line in lines:
        kind, _, rest = line.partition("\t")
        if kind in ("link", "dangling", "file"):
            name, _, target = rest.partition("\t")
            links[name] = Link(target, whole=kind != "dangling")
        elif kind == "folder":
            folders.append(folder(rest))
        elif kind == "groups":
            groups = frozenset(map(int, rest.split()))
        else:
            raise FactProcessError(f"not what programs.sh says: {line!r}")
    return Programs(links, groups, tuple(folders))


class Owned(Fact[Programs]):
    """What Homebrew's bin has by the names of programs, and who may install there."""

    @staticmethod
    def default() -> Programs:
        return Programs({})

    def command(self, homebrew_prefix: str, programs: list[str]) -> StringCommand:
        return script("programs", homebrew_prefix, *programs)

    def process(self, output: Iterable[str]) -> Programs:
        return parse(output)
