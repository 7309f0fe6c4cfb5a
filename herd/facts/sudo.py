"""Whether the SSH user may do as root what a stack needs."""

from collections.abc import Iterable

from pyinfra.api import QuoteString, StringCommand

from herd.core.mac.root_command import Command
from herd.facts.fact import Fact

_NOTHING = "nothing"


class SudoRefuses(Fact[str]):
    """What sudo says where it does not run a command without a password; "" where it does."""

    @staticmethod
    def default() -> str:
        return _NOTHING

    def command(self, words: Command) -> StringCommand:
        quoted = [QuoteString(word) for word in words]
        told = StringCommand("told=$(sudo -n", *quoted, "2>&1 >/dev/null) && echo yes")
        return StringCommand(told, "|| printf 'no %s\\n' \"$told\"")

    def process(self, output: Iterable[str]) -> str:
        said = list(output)
        if said[-1:] == ["yes"]:
            return ""
        # A lecture stands before the reason, which is the last.
        lines = (line.removeprefix("no ").strip() for line in reversed(said))
        return next(filter(None, lines), _NOTHING)
