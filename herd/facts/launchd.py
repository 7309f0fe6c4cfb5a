"""The jobs of a stack: launchd's, and on Linux systemd's."""

from collections.abc import Callable, Iterable

from pyinfra.api import QuoteString, StringCommand

from herd.core.linux.units import parse_show
from herd.core.mac.domains import SYSTEMD
from herd.core.mac.launchd import DIGEST, Job, Started, parse_print
from herd.facts.fact import Fact
from herd.facts.script import script


class Loaded(Fact[Job | None]):
    """A job by its target (`gui/UID/LABEL`, `system/LABEL`, `systemd/UNIT`); None when it is not
    loaded, or nobody is logged in."""

    parse: Callable[[Iterable[str]], Job | None] = staticmethod(parse_print)

    def command(self, target: str) -> StringCommand:
        manager, _, unit = target.partition("/")
        if manager == SYSTEMD:
            self.parse = parse_show
            return script("unit", unit, DIGEST)
        return StringCommand("launchctl", "print", QuoteString(target), "2>&1 || true")

    def process(self, output: Iterable[str]) -> Job | None:
        return self.parse(output)


class HowStarted(Fact[Started]):
    """How a daemon was started last, by what it noted in a file; of its property list, whether
    launchd loads it."""

    @staticmethod
    def default() -> Started:
        return Started()

    def command(self, plist: str, started: str) -> StringCommand:
        return script("daemon", plist, started)

    def process(self, output: Iterable[str]) -> Started:
        lines = list(output)
        at = lines.index("started")
        digest, virtual, *devices = [*lines[at + 1 :], "", ""]
        return Started(
            digest=digest,
            devices=tuple(line for line in devices if line),
            virtual=virtual == "virtual 1",
            quarantined="quarantined" in lines[:at],
        )


class Installed(Fact[list[tuple[str, str]]]):
    """Jobs that we installed, whose property lists hold all of the texts: "Agents", "Daemons" or
    "Units", and the label of each."""

    @staticmethod
    def default() -> list[tuple[str, str]]:
        return []

    def command(self, texts: list[str]) -> StringCommand:
        return script("agents", DIGEST, *texts)

    def process(self, output: Iterable[str]) -> list[tuple[str, str]]:
        pairs = (line.partition("\t") for line in output if "\t" in line)
        return [(kind, label) for kind, _, label in pairs]


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
