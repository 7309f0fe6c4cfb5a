"""What is in a stack's directory, whoever put it there."""

from collections.abc import Iterable

from pyinfra.api import FactProcessError, StringCommand

from herd.core.mac.belongings import Found
from herd.facts.fact import Fact
from herd.facts.script import script


class StackFiles(Fact[list[Found] | None]):
    """Its entries, and those of the proxy's directory in it; None when there is no such directory.

    The content of other directories is not looked at.
    """

    def command(self, root: str) -> StringCommand:
        return script("stack-files", root)

    def process(self, output: Iterable[str]) -> list[Found] | None:
        found = []
        for line in output:
            kind, _, path = line.partition(" ")
            if kind not in ("d", "f"):
                raise FactProcessError(f"not an entry: {line!r}")
            found.append(Found(path, kind == "d"))
        return [each for each in found if each.path != "."] if found else None
