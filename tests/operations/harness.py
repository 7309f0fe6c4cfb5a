"""Runs one operation on pyinfra's real engine, against a host that answers as scripted.

Nothing of pyinfra is replaced but the wire: what would go over SSH is recorded instead, commands
with our scripts' texts shortened to their names ("job-load gui/501 …"), uploads with their content.
"""

import io
import logging
import shlex
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyinfra.api import Config, HiddenValue, Inventory, State
from pyinfra.api.connect import connect_all
from pyinfra.api.exceptions import PyinfraError as NoHostsLeft
from pyinfra.api.operation import add_op
from pyinfra.api.operations import run_ops
from pyinfra.connectors.util import CommandOutput, OutputLine, write_stdin

from herd.core import scripts
from herd.operations.commands import rehearsal

Answer = str | Iterable[str] | Callable[[str], str | Iterable[str]]

_SCRIPTS = {
    f"sh -c {shlex.quote(scripts.text(path.stem))} {path.stem}": path.stem
    for path in (Path(scripts.__file__).parents[1] / "scripts").glob("*/*.sh")
}


_SAFETY = ("keep-good ", "put-back ", "drain ", "undrain ")


def short(command: str) -> str:
    """A command with its script by name."""
    for text, name in _SCRIPTS.items():
        command = command.replace(text, name)
    return command


@dataclass
class Run:
    """What came of an operation: `sent` are its commands, `asked` those of its facts; apart from
    these, in order, `safety` has where it keeps what serves, and puts it back.

    `planned` is what a dry run would say: whether there is anything to do.
    """

    sent: list[str] = field(default_factory=list)
    safety: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    uploads: dict[str, str] = field(default_factory=dict)
    stdin: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    everything: list[str] = field(default_factory=list)
    planned: bool = False
    changed: bool = False
    failed: bool = False

    @property
    def untouched(self) -> bool:
        """Nothing was sent, planned or counted as a change."""
        return not (self.sent or self.planned or self.changed or self.failed)


class _Wire:
    """In place of a connector's own way to the host."""

    def __init__(self, host: Any, answers: Mapping[str, Answer], fails: Iterable[str]) -> None:
        self.run = Run()
        self.answers, self.fails = answers, tuple(fails)
        self.asking = False
        get_fact = host.get_fact

        def asking(*arguments: Any, **options: Any) -> Any:
            self.asking = True
            try:
                return get_fact(*arguments, **options)
            finally:
                self.asking = False

        host.get_fact = asking
        host.connector.run_shell_command = self.command
        host.connector.put_file = self.upload

    def command(self, command: Any, **options: Any) -> tuple[bool, CommandOutput]:
        run = self.run
        raw = command if isinstance(command, str) else command.get_raw_value()
        run.everything += [raw, str(command), repr(command)]
        words = short(raw)
        if (stdin := options.get("_stdin")) is not None:
            run.stdin.append(_sent(stdin))
        sent = run.safety if words.startswith(_SAFETY) else run.sent
        (run.asked if self.asking else sent).append(words)
        if options.get("print_output"):
            run.printed.append(words)
        return not words.startswith(self.fails or "\0"), self._answer(words)

    def _answer(self, words: str) -> CommandOutput:
        for start, answer in self.answers.items():
            if words.startswith(start):
                said = answer(words) if callable(answer) else answer
                lines = said.splitlines() if isinstance(said, str) else list(said)
                return CommandOutput([OutputLine("stdout", line) for line in lines])
        return CommandOutput([])

    def upload(self, source: Any, destination: str, **_: Any) -> bool:
        self.run.sent.append(f"upload {destination}")
        self.run.uploads[destination] = source.getvalue().decode(errors="replace")
        return True


def _sent(stdin: Any) -> str:
    class Channel(io.BytesIO):
        got = b""

        def close(self) -> None:
            self.got = self.getvalue()

    channel = Channel()
    write_stdin(stdin, channel)
    return channel.got.decode()


def run(
    operation: Any,
    *arguments: Any,
    answers: Mapping[str, Answer] | None = None,
    fails: Iterable[str] = (),
    diff: bool = False,
    **options: Any,
) -> Run:
    """Prepare and execute an operation; `answers` are by the start of a (shortened) command."""
    data = {"fake_delay": 0, "fake_delay_jitter": 0}
    state = State(Inventory(([("@fake/mac", data)], {})), Config(DIFF=diff))
    connect_all(state)
    host = state.inventory.get_host("@fake/mac")
    wire = _Wire(host, answers or {}, fails)
    heard = _Heard()
    logger = logging.getLogger("pyinfra")
    level = logger.level
    logger.addHandler(heard)
    logger.setLevel(logging.DEBUG)
    try:
        with rehearsal() as questions:
            add_op(state, operation, *arguments, name="Test it", **options)
        assert wire.run == Run(), "an operation that is rehearsed asks and sends nothing"
        add_op(state, operation, *arguments, name="Test it", **options)
        planned = state.get_meta_for_host(host).ops_change > 0
        prepared, wire.run = wire.run, Run(planned=planned)
        assert prepared.sent == [], "an operation may send nothing before it is executed"
        with suppress(NoHostsLeft):
            run_ops(state)
    finally:
        logger.removeHandler(heard)
        logger.setLevel(level)
    found = wire.run
    found.failed = host in state.failed_hosts
    for op_hash in state.get_op_order():
        meta = state.get_op_data_for_host(host, op_hash).operation_meta
        found.changed = not found.failed and bool(meta.did_change())
        found.everything.append(repr(state.get_op_meta(op_hash)))
        found.everything.append(repr(state.get_op_data_for_host(host, op_hash)))
        found.everything.append(repr(vars(state.get_op_meta(op_hash))))
    found.everything += [*prepared.everything, *heard.lines]
    if questions and found.untouched:
        # Else a run that changes nothing would send a command more.
        unsaid = {*prepared.asked, *found.asked} - {short(each.command) for each in questions}
        assert not unsaid, "an operation says beforehand what it will compare with"
    return found


class _Heard(logging.Handler):
    """All that pyinfra logs, debug messages too."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def leaks(found: Run, secret: str) -> list[str]:
    """Where a secret shows that must not: commands, representations, logs."""
    return [text for text in [*found.everything, *found.sent, *found.asked] if secret in text]


def hidden(value: Any) -> Any:
    """A secret argument."""
    return HiddenValue(value)
