"""What a fact is here: a Mac's answer that cannot be read is that Mac's failure, nobody else's."""

from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, TypeVar

from pyinfra.api import FactBase, FactProcessError

from herd.core.text.quoting import elided

T = TypeVar("T")


class Fact(FactBase[T]):
    """pyinfra's, in which whatever goes wrong with an answer fails its host.

    pyinfra does so with a FactProcessError only; any other exception ends the run of all hosts.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "process" in cls.__dict__:
            cls.process = _guarded(cls.process)  # type: ignore[method-assign]


def _last(output: Sequence[str]) -> str:
    """The end of an answer, for a person."""
    said = [line for line in output if line.strip()]
    return " / ".join(elided(line.strip(), 60) for line in said[-3:]) or "none"


def _guarded(process: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(process)
    def guarded(self: Any, output: Iterable[str]) -> Any:
        output = list(output)
        try:
            return process(self, output)
        except FactProcessError as error:
            words = elided(str(error), 300)
        except Exception as error:
            words = f"not an answer: {type(error).__name__}: {elided(str(error), 200)}"
        raise FactProcessError(f"{words}; its last words are {_last(output)}")

    return guarded
