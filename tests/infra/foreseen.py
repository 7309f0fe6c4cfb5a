"""What the checks ask whatever a Mac answers, so that all of it is asked in one command.

A module of checks has a function `asks(mac)` beside them that asks the same. It is called once with
a Mac that only notes the commands; when the first check asks, they go over together.
"""

from collections.abc import Iterable
from functools import cached_property
from types import ModuleType
from typing import Any

from pyinfra.api import StringCommand
from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

from herd.facts import gathered
from herd.facts.fact import Fact
from herd.facts.gathered import Question
from tests.infra import declared
from tests.infra.backend import wrapped
from tests.infra.mac import Mac


class Command(Fact[None]):
    """Any command."""

    def command(self, text: str) -> StringCommand:
        return StringCommand(text)


class _Noting(BaseBackend):
    """Runs nothing; what it answers is what testinfra can go on with on a Mac."""

    NAME = "noting"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.commands: list[str] = []

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:
        words = self.get_command(command, *args)
        self.commands.append(words)
        said = {"uname -s": "Darwin", "sw_vers": ""}.get(words, "600")
        return self.result(0, words.encode(), said, "")

    def get_encoding(self) -> str:
        return "utf-8"


class Noted(Mac):
    """A Mac that is asked in vain."""

    @cached_property
    def host(self) -> Host:
        return Host(_Noting(self.name))

    def ask(self, fact: Any, **arguments: Any) -> Any:
        self.host.run(str(fact().command(**arguments).get_raw_value()))


def foresee(mac: Mac, modules: Iterable[ModuleType]) -> None:
    """Have the next question to this Mac be those of all these modules."""
    noted = Noted(mac.remote, mac.plan)
    for module in (declared, *modules):
        if asks := getattr(module, "asks", None):
            asks(noted)
    commands = noted.host.backend.commands
    gathered.of(mac.remote.host).plan(
        Question(Command, text=wrapped(each)) for each in dict.fromkeys(commands)
    )
