"""Whether a Mac takes requests, as it says itself."""

from collections.abc import Iterable
from dataclasses import dataclass

from pyinfra.api import StringCommand

from herd.facts.fact import Fact
from herd.facts.proxy import Availability
from herd.facts.script import script


@dataclass(frozen=True)
class Ready:
    """The answer of /readyz, 0 where there is none, and the owner's word as Availability has it."""

    code: int = 0
    word: str = ""

    @property
    def out(self) -> str:
        """Why it takes no requests; "" if it does."""
        if self.word:
            return self.word
        if self.code == 0:
            return "its proxy does not answer"
        return "" if self.code == 200 else f"it answers {self.code} on /readyz"


class Readiness(Fact[Ready]):
    """Of the proxy at an URL of the Mac's own."""

    @staticmethod
    def default() -> Ready:
        return Ready()

    def command(self, url: str, availability: str) -> StringCommand:
        return script("ready", url, availability)

    def process(self, output: Iterable[str]) -> Ready:
        code, *word = [*output, ""]
        said = Availability().process(word)
        return Ready(int(code) if code.strip().isdecimal() else 0, said)
