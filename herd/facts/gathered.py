"""One question for all that a run wants to know of a Mac.

What will be asked is known before: whoever plans says so (`plan`), and the first fact that is asked
for sends the commands of all in one. Each fact is then answered from what came back, as if its own
command had just run: output, errors and exit code are its own, so one that fails, fails only who
asks for it. What was not planned, or did not come back, is asked by itself.
"""

import secrets
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import gevent  # type: ignore[import-untyped]
from gevent.lock import RLock  # type: ignore[import-untyped]
from paramiko import SSHException
from pyinfra import logger
from pyinfra.api import FactBase, Host, StringCommand
from pyinfra.api.output import echo
from pyinfra.connectors.util import CommandOutput, OutputLine

from herd.core.mac.startup_files import MUTE
from herd.core.text.login_shell import takes_lines
from herd.core.text.secret import SecretInput

LIFE = 120
"""Seconds that an answer holds: a Mac has other masters, too."""

PATIENCE = 60
"""Seconds for the first answer, which takes one or two: a shell may wait for somebody to type."""

LAST = 20
"""Lines of each stream that are shown of a question that failed: why is at the end."""


class Question:
    """A fact with its arguments, as for `host.get_fact`; of these, only `_stdin` may be global."""

    def __init__(
        self, fact: type[FactBase[Any]], *, _stdin: SecretInput | None = None, **arguments: Any
    ) -> None:
        self.fact, self.arguments, self.stdin = fact, arguments, _stdin
        self.command = _text(fact().command(**arguments))

    def ask(self, host: Host) -> Any:
        """The fact, of a host."""
        given = {"_stdin": self.stdin} if self.stdin else {}
        return host.get_fact(self.fact, **self.arguments, **given)


@dataclass(frozen=True)
class Answer:
    """What a command said, when that came and in which stage of the run."""

    ok: bool
    output: CommandOutput = field(repr=False)
    came: float
    executing: bool


class Gathered:
    """The questions to one host, and its answers that hold.

    `noise` is what the Mac printed of itself, around what was asked last, in lines; of one that
    came to no question, all that it said.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        # By their commands.
        self._questions: dict[str, Question] = {}
        self._answers: dict[str, Answer] = {}
        self._changed = 0.0
        self.noise: list[str] = []
        # Who shares models with a Mac asks it, too.
        self._asking = RLock()
        self._heard = False
        self._send = host.connector.run_shell_command
        host.connector.run_shell_command = self._run  # type: ignore[method-assign]

    def plan(self, questions: Iterable[Question]) -> None:
        """These will be asked: the first of them asks all."""
        self._questions |= {question.command: question for question in questions}

    def ask(self) -> None:
        """Ask now what is planned and has no answer; what goes wrong is told to who asks later."""
        with suppress(TimeoutError, OSError, SSHException), self._asking:
            if missing := [q for q in self._questions.values() if not self.has(q)]:
                self._ask(missing, {})

    def forget(self, facts: Collection[type[FactBase[Any]]] | None) -> None:
        """Something has changed what these facts are about; None is all of them."""
        self._changed = time.monotonic()
        for command in list(self._answers):
            if facts is None or self._questions[command].fact in facts:
                del self._answers[command]

    def has(self, question: Question) -> bool:
        """Whether there is an answer that holds."""
        answer = self._answers.get(question.command)
        if answer is None or time.monotonic() - answer.came > LIFE:
            return False
        # Somebody read the plan, and thought about it, before it is carried out.
        planned = self._host.state.should_check_for_changes()
        return answer.executing == self.executing or not planned

    @property
    def executing(self) -> bool:
        """Whether the run is past its plan, and changes what is to be changed."""
        return bool(self._host.state.is_executing)

    def _run(
        self,
        command: Any,
        print_output: bool = False,
        print_input: bool = False,
        **options: Any,
    ) -> tuple[bool, CommandOutput]:
        """In place of the connector's own, of which a fact's command knows no difference."""
        shown: dict[str, Any] = {"print_output": print_output, "print_input": print_input}
        question = self._questions.get(_text(command))
        if question is None or question.stdin != options.get("_stdin"):
            return self._send(command, **shown, **options)
        with self._asking:
            if not self.has(question):
                others = (q for q in self._questions.values() if not self.has(q))
                wanted = [question, *(q for q in others if q is not question)]
                self._ask(wanted, {**options, "print_input": print_input})
            answer = self._answers.get(question.command)
        if answer is None:
            return self._send(command, **shown, **options)
        if print_output:
            for line in answer.output:
                echo(f"{self._host.print_prefix}{line.line}", err=True)
        return answer.ok, answer.output

    def _ask(self, questions: Sequence[Question], options: dict[str, Any]) -> None:
        """In one command, with the options of whoever asks now."""
        for question in questions:
            self._answers.pop(question.command, None)
        # What comes on standard input is for one of them.
        reads = [question for question in questions if question.stdin]
        together = [question for question in questions if question not in reads[1:]]
        mark = secrets.token_hex(16)
        options = {**options, "_stdin": reads[0].stdin if reads else None}
        began, executing = time.monotonic(), self.executing
        waiting = None if self._heard else gevent.spawn_later(PATIENCE, self._give_up)
        try:
            _, said = self._send(compose(together, mark), **options)
        finally:
            if waiting:
                waiting.kill()
        first, self._heard = not self._heard, True
        if not _came(said, mark) and self._shell_is_another(options):
            _, said = self._send(compose(together, mark), **options)
        noise, answers = parted(said, mark, len(together))
        self.noise = noise or self.noise
        if first and not _came(said, mark):
            # Whatever it ended with: nothing was asked, so nothing has failed.
            answers = [(True, CommandOutput([])) for _ in together]
        if self._changed >= began:
            return  # while it answered
        for question, (ok, output) in zip(together, answers, strict=False):
            self._answers[question.command] = Answer(ok, output, time.monotonic(), executing)

    def _give_up(self) -> None:
        """End the connection of a Mac that takes commands, and does not come to them."""
        logger.error(f"{self._host.print_prefix}It {MUTE} Its connection is given up.")
        if client := getattr(self._host.connector, "client", None):
            client.get_transport().close()

    def _shell_is_another(self, options: dict[str, Any]) -> bool:
        """Whether the user's login shell takes no lines, which is told to the connection."""
        if "login_shell" in self._host.connector_data:
            return False
        _, said = self._send(StringCommand('echo "$SHELL"'), **{**options, "_stdin": None})
        shell = said.stdout.strip().splitlines()[-1:] or [""]
        if takes_lines(shell[0] or "sh"):
            return False
        self._host.connector_data["login_shell"] = shell[0]
        return True


def of(host: Host) -> Gathered:
    """What is gathered of a host."""
    found: Gathered | None = host.connector_data.get("gathered")
    if found is None:
        found = host.connector_data["gathered"] = Gathered(host)
    return found


def compose(questions: Iterable[Question], mark: str) -> StringCommand:
    """One command for all; before all and after the output of each, on both streams, stands a line
    with the mark.

    Nobody on the Mac can have written it into what is shown: it is of this one question.
    """
    begin = f"printf '\\n{mark}\\n'; printf '\\n{mark}\\n' >&2\n"
    each = (
        f"(\n{question.command}\n){'' if question.stdin else ' </dev/null'}\n"
        f"printf '\\n{mark} %s\\n' $?; printf '\\n{mark}\\n' >&2\n"
        for question in questions
    )
    return StringCommand("".join([begin, *each]))


def parted(
    said: CommandOutput, mark: str, asked: int
) -> tuple[list[str], list[tuple[bool, CommandOutput]]]:
    """What was printed around the questions, as by a shell's startup file; and of each question
    that was answered to its end: whether its command succeeded, its output."""
    if not _came(said, mark):
        return [line.line for line in said if line.line.strip()], []
    (_, before), *told, (_, after) = _sections(said.stdout_lines, mark)
    # A shell may have closed the other stream.
    errors = [lines for _, lines in _sections(said.stderr_lines, mark)][1:-1]
    errors += [[]] * (len(told) - len(errors))
    answers = [
        (True, _output(lines, complaints))
        if code == "0"
        else (False, _output(lines[-LAST:], complaints[-LAST:]))
        for (code, lines), complaints in zip(told, errors, strict=False)
    ]
    # An empty line is one, too: it spoils each file that is copied.
    return before + (after if len(told) == asked else []), answers


def _came(said: CommandOutput, mark: str) -> bool:
    """Whether the Mac came to the first question."""
    return any(line.startswith(mark) for line in said.stdout_lines)


def _output(lines: Iterable[str], errors: Iterable[str]) -> CommandOutput:
    return CommandOutput(
        [
            *(OutputLine("stdout", line) for line in lines),
            *(OutputLine("stderr", line) for line in errors),
        ]
    )


def _sections(lines: Iterable[str], mark: str) -> Iterator[tuple[str, list[str]]]:
    section: list[str] = []
    for line in lines:
        if not line.startswith(mark):
            section.append(line)
            continue
        # The mark begins a line of its own, whether the output ended with one or not.
        if section and not section[-1]:
            section.pop()
        yield line.removeprefix(mark).strip(), section
        section = []
    yield "", section


def _text(command: StringCommand | str) -> str:
    return command if isinstance(command, str) else str(command.get_raw_value())
