"""What our operations share: how they are declared, and commands that show their output."""

from collections.abc import Callable, Generator
from functools import wraps
from typing import Any, ParamSpec

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api import operation as pyinfra_operation
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.operation import PyinfraOperation
from pyinfra.connectors.util import CommandOutput
from typing_extensions import override

from herd.facts.script import script

Commands = Generator[Any, None, None]
"""What an operation yields."""

P = ParamSpec("P")


def operation() -> Callable[[Callable[P, Commands]], PyinfraOperation[P]]:
    """pyinfra's `operation`, in which a host that fails to answer a fact drops out alone.

    pyinfra fails that host and goes on with the fact's default: what follows from it would be sent
    nevertheless, and an exception in an operation ends the run for all hosts.
    """

    def decorate(function: Callable[P, Commands]) -> PyinfraOperation[P]:
        @wraps(function)
        def guarded(*arguments: P.args, **options: P.kwargs) -> Commands:
            try:
                for command in function(*arguments, **options):
                    if _has_failed():
                        return
                    yield command
            except PyinfraError:  # as --fail-percent wants it
                raise
            except Exception:
                if not _has_failed():
                    raise

        return pyinfra_operation()(guarded)

    return decorate


def _has_failed() -> bool:
    return any(failed.name == host.name for failed in host.state.failed_hosts)


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
