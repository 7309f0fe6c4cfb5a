"""The launchd jobs of the logged-in user."""

from collections.abc import Iterable

from pyinfra.api import QuoteString, StringCommand

from herd.core.mac.launchd import DIGEST, Job, parse_print
from herd.facts.fact import Fact
from herd.facts.script import script


class Loaded(Fact[Job | None]):
    """The job `gui/UID/LABEL`; None when it is not loaded, or nobody is logged in."""

    def command(self, uid: int, label: str) -> StringCommand:
        return StringCommand(
            "launchctl", "print", QuoteString(f"gui/{uid}/{label}"), "2>&1 || true"
        )

    def process(self, output: Iterable[str]) -> Job | None:
        return parse_print(output)


class Installed(Fact[list[str]]):
    """Labels of the jobs that we installed, whose property lists hold all of the texts."""

    @staticmethod
    def default() -> list[str]:
        return []

    def command(self, texts: list[str]) -> StringCommand:
        return script("agents", DIGEST, *texts)

    def process(self, output: Iterable[str]) -> list[str]:
        return list(output)


class Unread(Fact[list[str]]):
    """The first of the directories that a job in the user's session may not read, if there is one;
    of one that is not there yet, the nearest above it."""

    @staticmethod
    def default() -> list[str]:
        return []

    def command(self, uid: int, directories: list[str]) -> StringCommand:
        return script("job-reads", uid, *directories)

    def process(self, output: Iterable[str]) -> list[str]:
        pairs = (line.partition("\t") for line in output)
        return [path for kind, _, path in pairs if kind == "denied"]
