"""What a fact is here: a Mac's answer that cannot be read is that Mac's failure, nobody else's."""

from collections.abc import Callable, Iterable
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


def _guarded(process: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(process)
    def guarded(self: Any, output: Iterable[str]) -> Any:
        try:
            return process(self, output)
        except FactProcessError as error:
            raise FactProcessError(elided(str(error), 500)) from error
        except Exception as error:
            words = elided(str(error), 300)
            raise FactProcessError(f"not an answer: {type(error).__name__}: {words}") from error

    return guarded
