"""Which startup files of the user's shell print something: that comes before every answer."""

from collections.abc import Iterable

from pyinfra.api import StringCommand

from herd.facts.fact import Fact
from herd.facts.script import script


class Printing(Fact[list[str]]):
    """Absolute paths of those that do; asked only where something came that nobody asked for."""

    @staticmethod
    def default() -> list[str]:
        return []

    def command(self) -> StringCommand:
        return script("startup-files")

    def process(self, output: Iterable[str]) -> list[str]:
        # Among them are their own words.
        pairs = (line.partition("\t") for line in output)
        return [path for kind, _, path in pairs if kind == "prints" and path.startswith("/")]
