"""What a Linux machine has of what a gateway needs."""

from collections.abc import Iterable

from pyinfra.api import StringCommand

from herd.core.linux.machine import Machine, parse
from herd.facts.fact import Fact
from herd.facts.script import script


class Linux(Fact[Machine]):
    """Packages, versions, and whether the user's services outlive his login."""

    default = Machine

    def command(self) -> StringCommand:
        return script("linux")

    def process(self, output: Iterable[str]) -> Machine:
        return parse(output)
