"""What shells make of a command: the real ones, as far as they are here."""

import ast
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from herd.core import scripts
from herd.core.text.login_shell import encoded, portable, takes_lines
from tests.core.samples import ROOT

WORDS = [
    "plain",
    "it's",
    "two\nlines\n",
    "\\",
    "\\\\",
    "ends\\",
    "a\\'b",
    "\\n5 !x !! $HOME `id` $(id)",
    "# no comment; & | > < * ? [a] {b,c} ~",
    '"double"',
    "\\0101 %b %s",
    "12\n34\r56",
    "grün 🦙",
    "",
]
SHELLS = ["sh", "bash", "zsh", "dash", "fish", "csh", "tcsh", "nu", "elvish", "xonsh"]


def quoted(word: str) -> str:
    """As pyinfra does it, in single quotes."""
    return "'" + word.replace("'", "'\"'\"'") + "'"


def read(shell: str, command: str, home: Path) -> list[str]:
    """The words that a program gets of a command in a shell."""
    done = subprocess.run(
        [shell, "-c", command],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    words: list[str] = json.loads(done.stdout)
    return words


@pytest.fixture
def program(tmp_path: Path) -> str:
    """Says what words it got."""
    says = "import json, sys; print(json.dumps(sys.argv[1:]))"
    path = tmp_path / "words"
    path.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-c", says])} "$@"\n')
    path.chmod(0o755)
    return str(path)


def needs(shell: str) -> str:
    """Its path."""
    return shutil.which(shell) or pytest.skip(f"there is no {shell} here")


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "ksh", "dash", "fish"])
def test_what_takes_lines_reads_each_word_as_it_is(
    shell: str, program: str, tmp_path: Path
) -> None:
    path = needs(shell)
    command = portable(" ".join([program, *map(quoted, WORDS)]))

    assert takes_lines(path)
    assert read(path, command, tmp_path) == WORDS


@pytest.mark.parametrize("shell", SHELLS)
def test_in_one_line_every_shell_does(shell: str, program: str, tmp_path: Path) -> None:
    command = encoded(" ".join([program, *map(quoted, WORDS)]), f"/opt/bin/{shell}")

    assert "\n" not in command
    assert read(needs(shell), command, tmp_path) == WORDS


def test_xonsh_reads_it_as_python_would() -> None:
    """Where no xonsh is: its strings are Python's, in which it fills in what `$` names."""
    command = " ".join(map(quoted, WORDS))
    sent = encoded(command, "/opt/homebrew/bin/xonsh")
    words = sent.partition("""'eval "$(printf %b "$0")"' """)[2]

    assert "$" not in words
    assert ast.literal_eval(words) == ast.literal_eval("r" + encoded(command).partition("\"' ")[2])


@pytest.mark.soak
@pytest.mark.parametrize("shell", ["fish", "tcsh"])
def test_each_script_gets_there_whole(shell: str, program: str, tmp_path: Path) -> None:
    path = needs(shell)
    texts = [scripts.text(path.stem) for path in (ROOT / "herd/scripts").glob("*/*.sh")]
    say = portable if takes_lines(path) else encoded

    assert len(texts) > 20
    for text in texts:
        assert read(path, say(f"{program} {quoted(text)}"), tmp_path) == [text]


@pytest.mark.parametrize("shell", ["/bin/csh", "/bin/tcsh", "/opt/homebrew/bin/nu", "xonsh"])
def test_who_takes_none_is_known(shell: str) -> None:
    assert not takes_lines(shell)


def test_what_needs_nothing_is_left_as_it_is() -> None:
    command = 'sh -c \'printf "\\n"; it\'"\'"\'s\' "a\\\\b"'

    assert portable(command) == command
