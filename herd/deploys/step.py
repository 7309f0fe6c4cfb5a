"""What a step of a deploy is: a function without arguments, run for each host.

Before a host's first step, its steps are gone through once without doing anything: so it is known
what all will ask, and the Mac is asked for all in one command.
"""

from collections.abc import Callable
from functools import cache, wraps

from pyinfra import host
from pyinfra.api import Host, deploy
from pyinfra.api.operation import PyinfraOperation

from herd.facts import gathered
from herd.facts.gathered import Question
from herd.operations.commands import rehearsal

_STEPS: list[Callable[[], None]] = []


def step(name: str) -> Callable[[Callable[[], None]], PyinfraOperation[[]]]:
    """pyinfra's `deploy`, for a step of which other steps' questions are asked, too."""

    def declare(function: Callable[[], None]) -> PyinfraOperation[[]]:
        _STEPS.append(function)

        @deploy(name)
        @wraps(function)
        def run() -> None:
            _plan(host.inventory.get_host(host.name))
            function()

        return run

    return declare


@cache
def _plan(current: Host) -> None:
    gathered.of(current).plan(questions())


def questions() -> list[Question]:
    """What all steps will ask of the current host."""
    with rehearsal() as found:
        for each in _STEPS:
            each()
    return found
