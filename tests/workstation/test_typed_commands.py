"""What a person is told to type is what they type here: make's words, or those of llama-herd."""

import os
import re
import subprocess
import sys

import pytest

from herd.verbs.told import Told
from herd.workstation.typed_commands import PROGRAM, as_typed
from tests.core.samples import ROOT

SAID = {
    "`make start`, or deploy again": "`llama-herd start`, or deploy again",
    "`make logs ARGS=proxy` says why": "`llama-herd logs proxy` says why",
    "`make key NAME=anna ARGS=--rotate`, then": "`llama-herd key anna --rotate`, then",
    "`make plan ARGS=--diff` or `make pin`": "`llama-herd plan --diff` or `llama-herd pin`",
    "`make deploy ARGS='--data models_prune=true'`": "`llama-herd deploy --data models_prune=true`",
    "`make verify-models LIMIT=mac1`": "`llama-herd verify-models --limit=mac1`",
}
OTHER = ("make sure of it", "`brew upgrade`", '`make key NAME=a"b`', "`make key NAME='a`", "`make`")


@pytest.mark.parametrize("said", SAID)
def test_advice_is_in_the_words_that_are_typed(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PROGRAM, raising=False)
    assert as_typed(said) == said
    monkeypatch.setenv(PROGRAM, "llama-herd")
    assert as_typed(said) == SAID[said]
    assert as_typed(as_typed(said)) == SAID[said]


@pytest.mark.parametrize("said", OTHER)
def test_other_words_are_left_alone(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROGRAM, "llama-herd")

    assert as_typed(said) == said


def test_no_advice_of_a_finding_is_left_in_makes_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROGRAM, "llama-herd")
    texts = [path.read_text() for path in (ROOT / "herd/diagnosis").glob("*.py")]
    advice = [said for text in texts for said in re.findall(r"`make [^`]*`", text)]

    assert len(advice) > 20
    assert [said for said in advice if "make" in as_typed(said.replace("{name}", "x"))] == []


def test_rows_of_a_status_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROGRAM, "llama-herd")
    told = Told("mac1")
    told.row("drift", "`make restart` ends it")

    assert told.text.endswith("`llama-herd restart` ends it")


def test_a_deploys_log_and_what_a_mac_says_have_them() -> None:
    """Run apart, as pyinfra's CLI patches."""
    done = subprocess.run(
        [sys.executable, "-c", DEPLOY], cwd=ROOT, env=os.environ | {PROGRAM: "llama-herd"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout == "`llama-herd start`\n" * 2
    assert done.stderr == "[mac1] `llama-herd start`\n"


DEPLOY = """
import pyinfra_cli, logging
from types import SimpleNamespace
from herd.connections import hooks, remote

record = logging.makeLogRecord({"msg": "`make %s`", "args": ("start",)})
hooks._make_harmless(record)
print(record.msg)
hooks._echo("`make start`")
own = SimpleNamespace(host=SimpleNamespace(name="mac1"), outcome=remote.Outcome())
remote.Remote.say(own, False, ["`make start`"])
"""
