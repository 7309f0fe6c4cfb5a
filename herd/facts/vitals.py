"""How a Mac is just now."""

from collections.abc import Iterable

from pyinfra.api import StringCommand

from herd.core.mac import vitals
from herd.facts.fact import Fact
from herd.facts.script import script


class Vital(Fact[vitals.Vitals]):
    """Uptime, memory, swap, heat, power, and the ages of the stack's processes."""

    default = vitals.Vitals

    def command(self, root: str, homebrew_prefix: str) -> StringCommand:
        return script("vitals", root, homebrew_prefix)

    def process(self, output: Iterable[str]) -> vitals.Vitals:
        return vitals.parse(output)
