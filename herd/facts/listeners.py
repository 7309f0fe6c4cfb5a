"""Who listens on the ports that a stack wants."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pyinfra.api import FactBase, FactProcessError, StringCommand

from herd.facts.script import script


@dataclass(frozen=True)
class Listener:
    """Command lines by pid; empty when the process is another user's, which only root may see."""

    processes: Mapping[int, str] = field(default_factory=dict)

    def belongs_to(self, root: str) -> bool:
        """Whether it runs something of the stack in that directory."""
        return bool(self.processes) and all(
            f"{root}/" in command for command in self.processes.values()
        )

    def __str__(self) -> str:
        shown = [f"{command[:70]} (pid {pid})" for pid, command in self.processes.items()]
        return ", ".join(shown) or "another user's process"


def parse(lines: Iterable[str]) -> dict[int, Listener]:
    """The answer of scripts/listeners.sh: a listener for each port that somebody has."""
    ports: dict[int, dict[int, str]] = {}
    last: dict[int, str] = {}
    for line in lines:
        kind, *values = line.split("\t", 2)
        if kind == "port":
            last = ports.setdefault(int(values[0]), {})
        elif kind == "pid":
            last[int(values[0])] = values[1]
        else:
            raise FactProcessError(f"not a listener: {line!r}")
    return {port: Listener(processes) for port, processes in ports.items()}


class Listeners(FactBase[dict[int, Listener]]):
    """Those of the given ports that are taken, and by whom."""

    default = dict

    def command(self, ports: list[int]) -> StringCommand:
        return script("listeners", *ports)

    def process(self, output: Iterable[str]) -> dict[int, Listener]:
        return parse(output)
