"""Connections for the verbs: pyinfra's API over the same inventory, without its deploy output."""

import fnmatch
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import gevent  # type: ignore[import-untyped]
from paramiko import SSHException
from pyinfra.api import Config, FactBase, FileUploadCommand, Host, Inventory, State
from pyinfra.api.connect import connect_all, disconnect_all
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.output import set_echo
from pyinfra.context import ctx_state

from herd import plan
from herd.connections import asked_once, here, inventory_file
from herd.connections.connected import Connected
from herd.core.gateway.fleet import Gateway
from herd.core.mac import startup_files
from herd.core.mac.layout import Layout
from herd.core.mac.mac import Identity
from herd.core.settings.problems import report
from herd.core.settings.schema import Settings
from herd.core.text.harmless import harmless
from herd.facts import gathered
from herd.facts.gathered import Question
from herd.facts.mac import Mac
from herd.facts.startup_files import Printing
from herd.operations.files import write
from herd.workstation.herd_directory import directory
from herd.workstation.typed_commands import as_typed

T = TypeVar("T")


class RemoteError(Exception):
    """Something that a person has to know, and that ends a verb."""


class Silent(RemoteError):
    """A host that does not answer what it is asked; the others do."""


class NobodyThere(RemoteError):
    """None of the chosen hosts can be worked with; `lost` says why, by name."""

    def __init__(self, lost: Mapping[str, str]) -> None:
        super().__init__("\n".join(lost.values()))
        self.lost = lost


@dataclass
class Outcome:
    """What a verb has done with a host: whether all went well, and its lines to whoever reads them,
    of success and of failure."""

    well: bool = True
    said: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def add(self, ok: bool, lines: Iterable[str]) -> None:
        """One step more."""
        self.well &= ok
        (self.said if ok else self.wrong).extend(lines)


@dataclass(frozen=True)
class Remote:
    """One connected host of an inventory file."""

    host: Host
    settings: Settings
    mac: Identity
    inventory: str
    gateway: Gateway | None = None
    outcome: Outcome = field(default_factory=Outcome, compare=False)

    @property
    def layout(self) -> Layout:
        """Its paths."""
        mac = self.mac
        return Layout(*(self.settings, mac.home, mac.user), gateway=self.gateway, system=mac.system)

    @property
    def address(self) -> str:
        """How clients reach it."""
        return plan.address(self.host)

    def ask(self, fact: type[FactBase[T]], *, _stdin: Any = None, **arguments: Any) -> T:
        """A fact of it. Raises Silent when it does not answer."""
        options = {"_stdin": _stdin} if _stdin else {}
        with suppress(PyinfraError):  # that no host is left
            answer = self.host.get_fact(fact, **arguments, **options)
            if not _has_failed(self.host):
                return answer
        raise Silent(f"{self.host.name} does not answer {fact.__name__}, so it is left out")

    def forget(self) -> None:
        """What it answered does not hold any more, as something was done there."""
        gathered.of(self.host).forget(None)

    def run(self, command: Any, *, stdin: Any = None) -> tuple[bool, list[str]]:
        """Run a command; whether it succeeded, and its lines of output, of both streams."""
        options = {"_stdin": stdin} if stdin else {}
        ok, output = self.host.run_shell_command(command, **options)
        return ok, output.output_lines

    def follow(self, command: Any, *, stdin: Any = None) -> bool:
        """Run a command and print its output as it comes, each line with the host's name."""
        options = {"_stdin": stdin} if stdin else {}
        ok, _ = self.host.run_shell_command(command, print_output=True, **options)
        return bool(ok)

    def write(self, path: str, content: str | bytes, mode: str) -> None:
        """Put a file in place, never readable by more than `mode` ("600") says."""
        for command in write(path, content, mode):
            if isinstance(command, FileUploadCommand):
                self.host.put_file(command.src, command.dest)
            else:
                self.run(command)

    def say(self, ok: bool, lines: Sequence[str], success: str = "") -> bool:
        """Print lines with the host's name: of success, or why there was none; returns `ok`."""
        told = [success] if ok and success else [*map(as_typed, lines)]
        self.outcome.add(ok, told)
        for line in told:
            print(f"[{self.host.name}] {harmless(line)}", file=sys.stdout if ok else sys.stderr)
        return ok


def read(inventory: str) -> Inventory:
    """An inventory file with its data, connected to nothing."""
    if not Path(inventory).exists():
        raise RemoteError(f"there is no inventory {inventory}; name one with --inventory")
    logging.getLogger("pyinfra").setLevel(logging.ERROR)
    # For what `follow` prints.
    set_echo(lambda line, **_: print(harmless(as_typed(line)), flush=True))
    asked_once.install()
    state = State()
    state.cwd = str(directory(inventory).resolve())  # as a deploy has it
    ctx_state.set(state)  # as the CLI does, before an inventory is read
    everything = inventory_file.read(inventory, cwd=state.cwd)
    here.take(everything)
    everything.state = state
    return everything


def hosts(inventory: str, limits: Sequence[str]) -> tuple[State, list[Host]]:
    """The hosts of an inventory file, limited by names, patterns or groups as pyinfra does."""
    everything = read(inventory)
    chosen = [
        host
        for host in everything
        if not limits
        or any(fnmatch.fnmatch(host.name, limit) or limit in host.groups for limit in limits)
    ]
    if not chosen:
        there = ", ".join(host.name for host in everything) or "none yet"
        what = f"no host matches {', '.join(limits)}" if limits else f"{inventory} names no host"
        raise RemoteError(f"{what}; hosts: {there}")
    state = everything.state
    inventory_file.initialise(state.init, everything, Config(), chosen)
    return state, chosen


@dataclass(frozen=True)
class Reached:
    """Those of the chosen hosts that can be worked with, and why the others cannot, by name."""

    remotes: list[Remote]
    lost: dict[str, str]


@contextmanager
def connected(inventory: str, limits: Sequence[str]) -> Iterator[Reached]:
    """The chosen hosts, connected. Raises NobodyThere when none of them can be worked with."""
    state, chosen = hosts(inventory, limits)
    with reached(state, chosen, inventory) as found:
        if not found.remotes:
            raise NobodyThere(found.lost)
        yield found


@contextmanager
def reached(state: State, chosen: Sequence[Host], inventory: str) -> Iterator[Reached]:
    """Those of the chosen hosts that answer, connected."""
    settings = plan.settings_of(state.inventory)
    gateways = plan.gateways_of(state.inventory, settings, inventory)
    state.config.FAIL_PERCENT = 100
    state.add_callback_handler(Connected())
    with suppress(PyinfraError):  # when none can be connected to
        connect_all(state)
    try:
        there = [host for host in chosen if host.connected]
        lost = {host.name: f"cannot connect to {host.name}" for host in chosen}
        who = {host: who_is(settings[host.name]) for host in there}
        _ask(there, lambda host: [who[host]])
        remotes = []
        for host, question in who.items():
            try:
                mac = identity(host, question)
            except Silent as error:
                lost[host.name] = str(error)
            else:
                gateway = gateways.get(host.name)
                remotes.append(Remote(host, settings[host.name], mac, inventory, gateway))
                del lost[host.name]
        yield Reached(remotes, lost)
    finally:
        disconnect_all(state)


def each(remotes: Iterable[Remote], do: Callable[[Remote], bool]) -> bool:
    """Do something with every host, and whether all went well: one that is lost in the middle is
    named, and the others are done."""
    done = True
    for remote in remotes:
        try:
            well = do(remote)
            remote.outcome.add(well, [])
            done &= well
        except BrokenPipeError:  # nobody reads what we print
            raise
        except (Silent, PyinfraError, SSHException, EOFError, OSError) as error:
            words = (
                str(error) if isinstance(error, Silent) else f"{remote.host.name} is lost: {error}"
            )
            remote.outcome.add(False, [words])
            print(harmless(words), file=sys.stderr)
            done = False
    return done


def ask(remotes: Sequence[Remote], questions: Callable[[Remote], Iterable[Question]]) -> None:
    """Have all hosts say at once what will be asked of them next, each in one command."""
    of = {remote.host: remote for remote in remotes}
    _ask(list(of), lambda host: questions(of[host]))


def _ask(hosts: Sequence[Host], questions: Callable[[Host], Iterable[Question]]) -> None:
    for host in hosts:
        gathered.of(host).plan(questions(host))
    gevent.joinall([host.state.pool.spawn(gathered.of(host).ask) for host in hosts])


def who_is(settings: Settings) -> Question:
    """What a Mac is asked first."""
    return Question(Mac, root=settings.stack_root, homebrew_prefix=settings.homebrew_prefix)


def identity(host: Host, who: Question) -> Identity:
    """Its answer. Raises Silent if that is none, or the Mac cannot be worked with."""
    mac: Identity | None = None
    with suppress(PyinfraError):  # that no host is left
        mac = who.ask(host)
    if _has_failed(host):
        raise Silent(f"{host.name} does not say what it is")
    if mac is None:
        raise Silent(f"{host.name} {startup_files.silent(gathered.of(host).noise)}")
    if noise := gathered.of(host).noise:
        printing = host.get_fact(Printing)
        found = startup_files.problem(noise, printing, mac.home)
        raise Silent(report(f"{host.name} cannot be worked with: 1 problem.", [found]))
    return mac


def _has_failed(host: Host) -> bool:
    return host in host.state.failed_hosts


def ssh_command(host: Host, *options: str) -> list[str]:
    """`ssh` to a host as its inventory has it, for what needs a terminal or a tunnel."""
    data = host.data
    words = ["ssh", *options]
    for option, key in (("-p", "ssh_port"), ("-l", "ssh_user"), ("-i", "ssh_key")):
        if value := data.get(key):
            words += [option, str(value)]
    if config := data.get("ssh_config_file"):
        words += ["-F", str(config)]
    if checking := data.get("ssh_strict_host_key_checking"):
        words += ["-o", f"StrictHostKeyChecking={checking}"]
    if known := data.get("ssh_known_hosts_file"):
        # A list of files, in which % begins what ssh puts there (ssh_config(5)).
        words += ["-o", 'UserKnownHostsFile="{}"'.format(str(known).replace("%", "%%"))]
    # By its own name there, which may be an alias of ~/.ssh/config.
    return [*words, str(data.get("ssh_hostname") or host.name.removeprefix("@ssh/"))]


def only(chosen: Sequence[Any]) -> Any:
    """The one host, or remote, that is chosen. Raises RemoteError when there are more."""
    if len(chosen) > 1:
        raise RemoteError("this works for one host at a time; choose it with --limit")
    return chosen[0]
