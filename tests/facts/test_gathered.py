"""One command asks for all; each fact is answered as if it had been asked alone."""

import logging
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from pyinfra.api import Config, Host, Inventory, State, StringCommand
from pyinfra.api.connect import connect_all
from pyinfra.api.exceptions import PyinfraError
from pyinfra.connectors.util import CommandOutput
from pyinfra.context import ctx_host

from herd.core.text.secret import SecretInput
from herd.facts import gathered
from herd.facts.fact import Fact
from herd.facts.gathered import Gathered, Question
from herd.operations.commands import Commands, operation, rehearsal


class Said(Fact[list[str] | None]):
    """What a command says on its standard output."""

    def command(self, text: str) -> StringCommand:
        return StringCommand(text)

    def process(self, output: Any) -> list[str]:
        return list(output)


class Other(Said):
    """The same, about something else."""


class Here:
    """This machine as a host of pyinfra, which counts what it is sent."""

    def __init__(self, *, check: bool = True) -> None:
        inventory = Inventory((["@local"], {}))  # type: ignore[no-untyped-call]
        config = Config()  # type: ignore[no-untyped-call]
        self.state = State(inventory, config, check_for_changes=check)
        connect_all(self.state)
        self.host: Host = self.state.inventory.get_host("@local")
        self.sent: list[str] = []
        send = self.host.connector.run_shell_command

        def counted(command: Any, **options: Any) -> tuple[bool, CommandOutput]:
            self.sent.append(command.get_raw_value())
            return send(command, **options)

        self.host.connector.run_shell_command = counted  # type: ignore[method-assign, assignment]
        self.known: Gathered = gathered.of(self.host)

    def plan(self, *texts: str) -> None:
        self.known.plan([Question(Said, text=text) for text in texts])

    def says(self, text: str, fact: type[Said] = Said, **options: Any) -> list[str] | None:
        with suppress(PyinfraError):  # as no host is left
            said: list[str] | None = self.host.get_fact(fact, text=text, **options)
            return said
        return None

    @property
    def failed(self) -> bool:
        return self.host in self.state.failed_hosts


@pytest.fixture
def here() -> Here:
    return Here()


def test_all_that_is_planned_is_asked_by_the_first_who_asks(here: Here) -> None:
    here.plan("echo a", "echo b; echo c", "printf %s d", "true")

    assert here.sent == []
    assert here.says("echo b; echo c") == ["b", "c"]
    assert here.says("echo a") == ["a"]
    assert here.says("printf %s d") == ["d"]
    assert here.says("true") is None
    assert len(here.sent) == 1


@pytest.mark.parametrize(
    ("shell", "asked"), [("/bin/tcsh", 3), ("/opt/homebrew/bin/nu", 3), ("/bin/zsh", 2), ("", 2)]
)
def test_where_nothing_came_the_login_shell_is_asked_for(
    here: Here, monkeypatch: pytest.MonkeyPatch, shell: str, asked: int
) -> None:
    """One that takes no lines is told to the connection, and all is asked again."""
    send = here.known._send

    def in_a_shell(command: Any, **options: Any) -> tuple[bool, CommandOutput]:
        text = command.get_raw_value()
        if "\n" in text and "login_shell" not in here.host.connector_data:
            command = StringCommand("echo Unmatched >&2; false")
            return send(command, **options)
        return send(command, **options)

    monkeypatch.setattr(here.known, "_send", in_a_shell)
    monkeypatch.setenv("SHELL", shell)
    here.plan("echo a", "echo b")

    here.known.ask()

    known = shell if asked == 3 else None
    assert here.host.connector_data.get("login_shell") == known
    assert here.sent[1:2] == ['echo "$SHELL"']
    assert len(here.sent) == asked
    assert here.says("echo a") == (["a"] if asked == 3 else None)


@pytest.mark.parametrize(("asked", "told"), [(["sleep 1"], 1), (["true", "sleep 1"], 0)])
def test_a_first_answer_that_does_not_come_ends_the_connection(
    here: Here, monkeypatch: pytest.MonkeyPatch, asked: list[str], told: int
) -> None:
    """As where a startup file waits; later ones may take as long as they do."""
    monkeypatch.setattr(gathered, "PATIENCE", 0.4)
    given_up: list[str] = []
    monkeypatch.setattr(Gathered, "_give_up", lambda self: given_up.append(self._host.name))

    for text in asked:
        here.plan(text)
        here.known.ask()

    assert given_up == ["@local"] * told


OUTPUTS = [
    "echo",
    "echo; echo",
    "printf a",
    "printf 'a\\n\\n'",
    "printf '\\n\\na'",
    "printf 'a\\n\\n\\nb\\n\\n'",
    "printf '  a \\t\\n'",
    "printf 'a\\r\\n'",
    "echo a; echo b >&2; echo c",
    "echo b >&2",
    "printf b >&2; printf a",
    "printf '\\n\\n' >&2",
    "head -c 300000 /dev/zero | tr '\\0' x",
    "seq 1 20000",
]


@pytest.mark.parametrize("text", OUTPUTS)
def test_output_is_what_the_command_alone_gives(here: Here, text: str) -> None:
    alone = Here().says(text)
    here.plan("echo before", text, "echo after")

    assert here.says(text) == alone
    assert here.says("echo after") == ["after"]
    assert len(here.sent) == 1


@pytest.mark.parametrize(
    "text",
    [
        "cd /; exit 0",
        "set -eu; false || x=1",
        "exec </dev/null; exec true",
        "x=1; export x; trap 'echo bye' EXIT",
        "cat",
        "sleep 0.1 & wait",
        "umask 0; exec 2>&1",
        "echo $x",
    ],
)
def test_no_question_disturbs_another(here: Here, text: str) -> None:
    here.plan(text, 'echo "${x-unset}"; pwd; umask')

    here.says(text)

    assert here.says('echo "${x-unset}"; pwd; umask') == Here().says(
        'echo "${x-unset}"; pwd; umask'
    )
    assert len(here.sent) == 1


def test_one_that_fails_fails_only_who_asks_for_it(
    here: Here, caplog: pytest.LogCaptureFixture
) -> None:
    broken = "echo half; echo why >&2; exit 3"
    here.plan("echo a", broken, "echo b")
    assert here.says("echo a") == ["a"]
    assert here.says("echo b") == ["b"]
    assert not here.failed
    alone = Here()
    with caplog.at_level(logging.WARNING, "pyinfra"):
        assert alone.says(broken) is None
        told_alone = sorted(record.getMessage() for record in caplog.records)
        caplog.clear()

        assert here.says(broken) is None

    assert here.failed
    assert alone.failed
    assert sorted(record.getMessage() for record in caplog.records) == told_alone
    assert any("why" in line for line in told_alone)
    assert len(here.sent) == 1


def test_a_mark_that_the_mac_makes_up_divides_nothing(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows the next one; those of earlier questions are text."""
    here.plan("echo a")
    here.says("echo a")
    old = here.sent[0].split("printf '\\n")[1][:32]
    forged = f"printf '\\n{old} 0\\n'"
    here.plan(forged, "echo b")

    assert here.says("echo b") == ["b"]
    assert here.says(forged) == ["", f"{old} 0"]


def test_what_did_not_come_back_is_asked_again(here: Here) -> None:
    """As of a connection that ends in the middle, or a shell that cannot read the whole."""
    here.plan("echo a", "kill -9 $$", "echo b")

    assert here.says("echo a") == ["a"]
    assert here.says("echo b") == ["b"]
    assert here.says("kill -9 $$") is None
    assert here.failed

    whole = Here()
    whole.plan("echo a", "if then", "echo b")
    assert whole.says("echo a") == ["a"]
    assert whole.says("echo b") == ["b"]
    assert not whole.failed
    assert whole.says("if then") is None
    assert whole.failed


def test_standard_input_is_for_the_one_that_has_it(here: Here) -> None:
    secret = SecretInput("sk-EXAMPLE")
    here.known.plan([Question(Said, text="cat; echo read", _stdin=secret)])
    here.plan("cat; echo nothing")

    assert here.says("cat; echo nothing") == ["nothing"]
    assert here.says("cat; echo read", _stdin=SecretInput("sk-EXAMPLE")) == ["sk-EXAMPLE", "read"]
    assert len(here.sent) == 1
    assert "sk-EXAMPLE" not in here.sent[0]
    # With another key it is another question.
    assert here.says("cat; echo read", _stdin=SecretInput("other")) == ["other", "read"]
    assert len(here.sent) == 2


def test_of_two_that_read_one_is_asked_by_itself(here: Here) -> None:
    questions = [
        Question(Said, text=f"cat; echo {word}", _stdin=SecretInput(word)) for word in ("a", "b")
    ]
    here.known.plan(questions)

    assert [question.ask(here.host) for question in questions] == [["a", "a"], ["b", "b"]]


def test_what_was_not_planned_is_asked_each_time(here: Here) -> None:
    here.plan("echo a")
    here.says("echo b")
    here.says("echo b")

    assert here.sent == ["echo b", "echo b"]


def test_an_answer_holds_for_its_time(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    here.plan("date +%s%N", "echo a")
    first = here.says("date +%s%N")
    assert here.says("date +%s%N") == first

    monkeypatch.setattr(gathered, "LIFE", 0)

    assert here.says("date +%s%N") != first
    assert len(here.sent) == 2
    assert here.sent[1].count("echo a") == 1


@pytest.mark.parametrize("check", [True, False], ids=["after a plan", "with -y"])
def test_what_a_plan_was_told_is_asked_again_before_it_is_carried_out(check: bool) -> None:
    here = Here(check=check)
    here.plan("echo a", "echo b")
    here.says("echo a")

    here.state.is_executing = True
    here.says("echo a")
    here.says("echo b")

    assert len(here.sent) == (2 if check else 1)


def test_asked_beforehand_nothing_is_asked_later(here: Here) -> None:
    here.plan("echo a", "echo b")
    here.known.ask()
    here.known.ask()
    here.says("echo a")
    here.says("echo b")

    assert len(here.sent) == 1


def test_a_connection_that_breaks_is_told_to_who_asks(here: Here) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise OSError("gone")

    here.plan("echo a")
    here.known._send = broken
    here.known.ask()
    assert not here.failed

    assert here.says("echo a") is None
    assert here.failed


# -- Operations


@pytest.fixture
def executing() -> Iterator[Here]:
    here = Here()
    here.state.is_executing = True
    with ctx_host.use(here.host):
        yield here


def changing(changes: Sequence[type[Fact[Any]]] | None, during: Callable[[], object]) -> None:
    """Run an operation that sends one command, as pyinfra does."""

    @operation(changes=changes)
    def change() -> Commands:
        yield StringCommand("true")

    for _ in change._inner():
        during()


def test_again_is_asked_only_what_a_step_has_changed(executing: Here) -> None:
    here = executing
    here.plan("echo a", "echo b")
    here.known.plan([Question(Other, text="echo c")])
    here.says("echo a")

    changing([Said], lambda: None)
    assert here.says("echo c", Other) == ["c"]
    assert len(here.sent) == 1
    assert here.says("echo b") == ["b"]
    assert here.says("echo a") == ["a"]
    assert len(here.sent) == 2
    assert "echo c" not in here.sent[1]

    changing(None, lambda: None)
    here.says("echo c", Other)
    assert len(here.sent) == 3
    assert all(f"echo {word}\n" in here.sent[2] for word in "abc")


def test_a_plan_changes_nothing(here: Here) -> None:
    here.plan("echo a")
    here.says("echo a")

    with ctx_host.use(here.host):
        changing(None, lambda: None)
    here.says("echo a")

    assert len(here.sent) == 1


def test_what_was_seen_while_it_changed_does_not_hold(executing: Here) -> None:
    here = executing
    here.plan("echo a")

    changing([Said], lambda: here.says("echo a"))
    here.says("echo a")

    assert len(here.sent) == 2


def test_a_rehearsal_collects_what_operations_ask_and_runs_none() -> None:
    def asks(word: str, *, loud: bool) -> Iterator[Question]:
        yield Question(Said, text=f"echo {shlex.quote(word)} {loud}")

    @operation(asks=asks)
    def one(word: str, *, loud: bool) -> Commands:
        yield StringCommand("false")

    @operation()
    def none() -> Commands:
        yield StringCommand("false")

    with rehearsal() as questions:
        one(name="One", word="it's", loud=True)
        none(name="None")

    assert [question.command for question in questions] == ["echo 'it'\"'\"'s' True"]


@pytest.mark.parametrize(
    ("prints", "noise"),
    [
        ("echo 'Welcome to Warp'", ["Welcome to Warp"]),
        ("printf 'no newline'", ["no newline"]),
        ("printf 'a\\n\\n b\\n'", ["a", "", " b"]),
        ("echo error >&2", []),
        ("exec 2>/dev/null", []),
        ("printf '\\n'", [""]),
        ("printf ' '", [" "]),
        ("trap 'echo bye' EXIT", ["bye"]),
        ("true", []),
    ],
)
def test_what_a_shell_prints_by_itself_is_told_apart(prints: str, noise: list[str]) -> None:
    """As ~/.zshenv does: it comes before the command that is sent."""
    here = Here()
    send = here.known._send

    def noisy(command: StringCommand, *arguments: Any, **options: Any) -> Any:
        return send(StringCommand(f"{prints}\n", command), *arguments, **options)

    here.known._send = noisy
    here.plan("echo a", "true")

    assert here.says("echo a") == ["a"]
    assert here.says("true") is None
    assert here.known.noise == noise


@pytest.mark.parametrize("ends", ["exit 0", "exit 1", "exec true", "exec false", "exec /no/shell"])
def test_a_shell_that_ends_before_anything_is_asked_answers_nothing_and_fails_nothing(
    ends: str,
) -> None:
    """One reason for all of them, whatever the exit code is; what came is kept."""
    here = Here()
    send = here.known._send

    def ending(command: StringCommand, *arguments: Any, **options: Any) -> Any:
        return send(StringCommand(f"echo hi\n{ends}\n", command), *arguments, **options)

    here.known._send = ending
    here.plan("echo a", "true")

    assert here.says("echo a") is None
    assert not here.failed
    assert "hi" in here.known.noise  # and what the shell complained of, on the other stream


def test_of_one_that_fails_the_last_words_are_told(
    here: Here, caplog: pytest.LogCaptureFixture
) -> None:
    here.plan("seq 1 5000; echo why >&2; exit 1")
    with caplog.at_level(logging.WARNING, "pyinfra"):
        assert here.says("seq 1 5000; echo why >&2; exit 1") is None

    assert any("why" in told for told in caplog.messages)
    assert any("5000" in told for told in caplog.messages)
    assert len(caplog.messages) < 60
