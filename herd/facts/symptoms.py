"""What shows on a Mac that serves badly, or soon will."""

from collections.abc import Iterable

from pyinfra.api import StringCommand

from herd.core.mac import symptoms
from herd.facts.fact import Fact
from herd.facts.script import script


class Shown(Fact[symptoms.Symptoms]):
    """Asked for `make doctor` only: what it finds is old, rare or not ours."""

    default = symptoms.Symptoms

    def command(self, root: str, plists: list[str]) -> StringCommand:
        return script("symptoms", root, *plists)

    def process(self, output: Iterable[str]) -> symptoms.Symptoms:
        return symptoms.parse(output)
