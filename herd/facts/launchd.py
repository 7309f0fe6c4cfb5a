"""One launchd job of the logged-in user, as launchd has it loaded."""

from collections.abc import Iterable

from pyinfra.api import FactBase, QuoteString, StringCommand

from herd.core.launchd import Job, parse_print


class Loaded(FactBase[Job | None]):
    """The job `gui/UID/LABEL`; None when it is not loaded, or nobody is logged in."""

    def command(self, uid: int, label: str) -> StringCommand:
        return StringCommand(
            "launchctl", "print", QuoteString(f"gui/{uid}/{label}"), "2>&1 || true"
        )

    def process(self, output: Iterable[str]) -> Job | None:
        return parse_print(output)
