"""Who listens on the ports that a stack wants."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pyinfra.api import FactProcessError, StringCommand

from herd.core.text.quoting import elided
from herd.facts.fact import Fact
from herd.facts.script import script


@dataclass(frozen=True)
class Process:
    """A process: the pid of its parent, and its command line; the directory where it was started,
    if that names no absolute path."""

    parent: int
    command: str
    directory: str = ""

    def belongs_to(self, root: str) -> bool:
        """Whether it runs something in that directory."""
        return f"{root}/" in self.command or f"{self.directory}/".startswith(f"{root}/")


@dataclass(frozen=True)
class Listener:
    """Processes by pid; none when it is another user's, which only root may see."""

    processes: Mapping[int, Process] = field(default_factory=dict)

    def belongs_to(self, root: str) -> bool:
        """Whether it runs something of the stack in that directory."""
        return bool(self.processes) and all(p.belongs_to(root) for p in self.processes.values())

    def __str__(self) -> str:
        shown = [f"{elided(one.command)} (pid {pid})" for pid, one in self.processes.items()]
        return ", ".join(shown) or "another user's process"


def foreign(
    listeners: Mapping[int, Listener], root: str, jobs: Iterable[int]
) -> dict[int, Listener]:
    """Those that do not belong to the stack in a directory: neither by their place, nor as its
    jobs' processes, nor as what one of these has started, however its command line names its
    files."""
    others = {port: who for port, who in listeners.items() if not who.belongs_to(root)}
    pids = {*jobs}
    pids |= {pid for port in listeners.keys() - others for pid in listeners[port].processes}
    return {
        port: who
        for port, who in others.items()
        if not who.processes
        or not all(pid in pids or p.parent in pids for pid, p in who.processes.items())
    }


def parse(lines: Iterable[str]) -> dict[int, Listener]:
    """The answer of scripts/look/listeners.sh: a listener for each port that somebody has."""
    ports: dict[int, dict[int, Process]] = {}
    last: dict[int, Process] = {}
    for line in lines:
        try:
            kind, *values = line.split("\t", 4)
            if kind == "port":
                last = ports.setdefault(int(values[0]), {})
            elif kind != "pid":
                raise ValueError(kind)
            elif values[1]:  # else it ended in the meantime
                last[int(values[0])] = Process(int(values[1]), values[3], values[2])
        except (ValueError, IndexError) as error:
            raise FactProcessError(f"not a listener: {line!r}") from error
    return {port: Listener(processes) for port, processes in ports.items()}


class Listeners(Fact[Mapping[int, Listener]]):
    """Those of the given ports that are taken, and by whom."""

    default = dict

    def command(self, ports: list[int]) -> StringCommand:
        return script("listeners", *ports)

    def process(self, output: Iterable[str]) -> Mapping[int, Listener]:
        return parse(output)
