"""Which flags the installed llama-server takes."""

from collections.abc import Iterable

from pyinfra.api import QuoteString, StringCommand

from herd.core.mac.llama_server_flags import Flags
from herd.facts.fact import Fact


class KnownFlags(Fact[Flags | None]):
    """From the binary's own --help; None when it is not installed yet."""

    def command(self, program: str) -> StringCommand:
        quoted = QuoteString(program)
        return StringCommand("! [ -x", quoted, "] ||", quoted, "--help")

    def process(self, output: Iterable[str]) -> Flags | None:
        text = "\n".join(output)
        return Flags.parse(text) if text else None
