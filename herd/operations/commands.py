"""What our operations share: how they are declared, and commands that show their output."""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, cast, overload

from pyinfra import host, logger
from pyinfra.api import FactBase, StringCommand
from pyinfra.api import operation as pyinfra_operation
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.operation import PyinfraOperation
from pyinfra.connectors.util import CommandOutput
from pyinfra.context import ctx_host
from typing_extensions import override

from herd.core.settings.problems import Problem
from herd.facts import gathered
from herd.facts.gathered import Question
from herd.facts.script import script

Commands = Generator[Any, None, None]
"""What an operation yields."""

Facts = Collection[type[FactBase[Any]]]

P = ParamSpec("P")


_rehearsed: ContextVar[list[Question] | None] = ContextVar("_rehearsed", default=None)


@overload
def operation(
    *, changes: Facts | None = None
) -> Callable[[Callable[P, Commands]], PyinfraOperation[P]]: ...


@overload
def operation(
    *, asks: Callable[P, Iterable[Question]], changes: Facts | None = None
) -> Callable[[Callable[P, Commands]], PyinfraOperation[P]]: ...


def operation(
    *, asks: Callable[..., Iterable[Question]] | None = None, changes: Facts | None = None
) -> Callable[[Callable[P, Commands]], PyinfraOperation[P]]:
    """pyinfra's `operation`, in which a host that fails to answer a fact drops out alone.

    pyinfra fails that host and goes on with the fact's default: what follows from it would be sent
    nevertheless, and an exception in an operation ends the run for all hosts.

    `asks` says, of the operation's own arguments, which facts it compares with, so that a run can
    ask for all of them at once; one that it does not name is asked when it comes to that. `changes`
    are the facts whose answers no longer hold once it has sent something; None is all.
    """

    def decorate(function: Callable[P, Commands]) -> PyinfraOperation[P]:
        @wraps(function)
        def guarded(*arguments: P.args, **options: P.kwargs) -> Commands:
            if _has_failed():
                return
            known = gathered.of(ctx_host.get())
            try:
                for command in function(*arguments, **options):
                    if _has_failed():
                        break
                    try:
                        yield command
                    finally:
                        if known.executing:
                            known.forget(changes)
            except PyinfraError:  # as --fail-percent wants it
                if not _has_failed() or (host.state.active_hosts and not known.executing):
                    raise
            except Exception:
                if not _has_failed():
                    raise
            if known.executing and _has_failed():
                yield Failed()

        declared = pyinfra_operation()(guarded)

        @wraps(declared)
        def called(*arguments: Any, **options: Any) -> Any:
            if (rehearsed := _rehearsed.get()) is None:
                return declared(*arguments, **options)
            options.pop("name", None)
            rehearsed += asks(*arguments, **options) if asks else ()
            return None

        return cast(PyinfraOperation[P], called)

    return decorate


@contextmanager
def rehearsal() -> Iterator[list[Question]]:
    """Operations that are called within it do nothing but add what they ask to the list."""
    questions: list[Question] = []
    before = _rehearsed.set(questions)
    try:
        yield questions
    finally:
        _rehearsed.reset(before)


def _has_failed() -> bool:
    return any(failed.name == host.name for failed in host.state.failed_hosts)


class Failed(StringCommand):
    """Sends nothing, and fails: by it pyinfra knows an operation whose host failed in a fact."""

    @override
    def execute(self, state: Any, host: Any, connector_arguments: Any) -> Any:
        return False, CommandOutput([])


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


_told: ContextVar[list[Problem] | None] = ContextVar("_told", default=None)


@contextmanager
def told_to() -> Iterator[list[Problem]]:
    """Problems of a host that are found within it are not logged, but added to the list."""
    problems: list[Problem] = []
    before = _told.set(problems)
    try:
        yield problems
    finally:
        _told.reset(before)


def refuse(text: str, problems: Sequence[Problem] = ()) -> None:
    """Fails this host, and only this one, with a report, before it is sent anything; a dry run goes
    on without it as a deploy would. `problems` are those that the text is of."""
    _tell(text, problems, logger.error)
    host.state.fail_hosts({host.state.inventory.get_host(host.name)})


def warn(text: str, problems: Sequence[Problem]) -> None:
    """Says what is to be known of this host, which goes on."""
    _tell(text, problems, logger.warning)


def _tell(text: str, problems: Sequence[Problem], log: Callable[[str], None]) -> None:
    if (told := _told.get()) is not None:
        told.extend(problems or [Problem(host.name, text, "")])
        return
    for line in text.splitlines():
        log(line)


def changed_so_far() -> Iterator[str]:
    """Names of this run's operations that did something on this host."""
    state = host.state
    for op_hash in state.get_op_order():
        if op_hash in state.ops[host]:
            meta = state.get_op_data_for_host(host, op_hash).operation_meta
            if meta.is_complete() and meta.did_change():
                yield from sorted(state.get_op_meta(op_hash).names)
