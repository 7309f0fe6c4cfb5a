"""Which file prints, by the shells themselves as far as they are here."""

import shutil
import subprocess
from pathlib import Path

import pytest

from herd.core import scripts

# By shell: a file that it reads before a command, and what prints there.
PRINTS = [
    ("zsh", ".zshenv", "echo"),
    ("zsh", "zdotdir/.zshenv", "echo hi"),
    ("bash", ".bashrc", "trap 'echo bye' EXIT"),
    ("fish", ".config/fish/conf.d/own.fish", "echo hi"),
    ("fish", ".config/fish/config.fish", "printf hi"),
    ("tcsh", ".tcshrc", "echo hi"),
    ("xonsh", ".xonshrc", "print('hi')"),
]


def found(home: Path, shell: str) -> list[str]:
    done = subprocess.run(
        ["sh", "-c", scripts.text("startup-files"), "startup-files"],
        env={
            "HOME": str(home),
            "PATH": "/usr/bin:/bin",
            "SHELL": shell,
            "ZDOTDIR": str(home / "zdotdir"),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = (line.partition("\t") for line in done.stdout.splitlines())
    return [str(Path(path).relative_to(home)) for word, _, path in lines if word == "prints"]


@pytest.mark.parametrize(("shell", "name", "text"), PRINTS)
def test_the_file_is_found(tmp_path: Path, shell: str, name: str, text: str) -> None:
    path = shutil.which(shell) or pytest.skip(f"there is no {shell} here")
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)

    file.write_text(": quiet\n" if shell in ("zsh", "bash") else "")
    assert found(tmp_path, path) == []
    file.write_text(f"{text}\n")
    assert found(tmp_path, path) == [name]


@pytest.mark.parametrize("shell", ["nu", "elvish"])
def test_who_reads_none_before_a_command_is_not_blamed(tmp_path: Path, shell: str) -> None:
    (tmp_path / ".bashrc").write_text("echo hi\n")

    assert found(tmp_path, f"/opt/homebrew/bin/{shell}") == []
