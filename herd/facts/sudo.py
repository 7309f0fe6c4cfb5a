"""Whether the SSH user may do as root what a stack needs."""

from collections.abc import Iterable

from pyinfra.api import QuoteString, StringCommand

from herd.core.mac.root_command import Command
from herd.facts.fact import Fact


class Granted(Fact[bool]):
    """Whether sudo runs a command without a password."""

    @staticmethod
    def default() -> bool:
        return False

    def command(self, words: Command) -> StringCommand:
        quoted = [QuoteString(word) for word in words]
        return StringCommand("sudo -n", *quoted, ">/dev/null 2>&1 && echo yes || echo no")

    def process(self, output: Iterable[str]) -> bool:
        return list(output)[-1:] == ["yes"]
