"""Commands whose output a person wants to see while they run."""

from collections.abc import Generator
from typing import Any

from pyinfra.api import StringCommand
from pyinfra.connectors.util import CommandOutput
from typing_extensions import override

from herd.facts.script import script

Commands = Generator[Any, None, None]
"""What an operation yields."""


class Shown(StringCommand):
    """A command whose output is printed as it comes, at normal verbosity.

    pyinfra prints a command's output only with -vvv, or when it failed; a download of 63 GB or
    an installation would be silent for as long as it takes.
    """

    @override
    def execute(self, state: Any, host: Any, connector_arguments: Any) -> Any:
        connector_arguments.update(self.connector_arguments)
        ok, output = host.run_shell_command(
            self, print_output=True, print_input=state.print_input, **connector_arguments
        )
        # pyinfra prints the output of a failed command: it has been seen already.
        return ok, output if ok else CommandOutput([])


def shown(name: str, *arguments: object, **connector_arguments: Any) -> Shown:
    """`scripts/NAME.sh` with its output shown as it comes."""
    return Shown(script(name, *arguments), **connector_arguments)
