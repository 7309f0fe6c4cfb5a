"""Whatever a login shell exports, our commands find what macOS gives."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import StringCommand
from pyinfra.connectors.util import make_unix_command

from herd.connections.connected import with_own_tools

# What people have in ~/.zshenv and ~/.bashrc.
STARTUP = """
export GREP_OPTIONS=--color=always GREP_COLOR='1;32' POSIXLY_CORRECT=1 BLOCKSIZE=1M COLUMNS=20
export LC_ALL=de_DE.UTF-8 LC_NUMERIC=de_DE.UTF-8 LANG=de_DE.UTF-8
echo 'echo noise' >"$HOME/own"
export BASH_ENV="$HOME/own" ENV="$HOME/own" CDPATH=/:/usr:$HOME IFS=/e TMPDIR=/nowhere
export PYTHONHOME=/nowhere PERL5OPT=-Mnothing PATH=$HOME/bin
umask 0777
set -o noclobber
sh() { echo f; }
ls() { echo f; }
alias sh="echo a" ls="echo a"
"""
# What macOS's sh takes of it, which is bash.
EXPORTED = """
for name in ls grep cd mkdir printf sh test umask; do
  eval "$name() { echo f; }; export -f $name"
done
set -o noclobber -o nounset
export SHELLOPTS
"""
ASKED = r"""
: >kept; : >kept
mkdir -p made && ls -ld made | cut -c1-10
cd bin 2>/dev/null || cd made && pwd
echo 'a line' | grep line
printf '%s\n' "$LC_ALL" "${BASH_ENV-}${ENV-}${CDPATH-}${POSIXLY_CORRECT-}${COLUMNS-}" "${none}"
bash -c 'echo bash'
"$PYTHON" -c 'print("python")'
file=$(mktemp) && [ -f "$file" ] && rm "$file" && echo temporary
"""
SAID = """drwxr-xr-x
{home}/made
a line
C


bash
python
temporary
"""


def said(home: Path, shell: str, startup: str) -> str:
    """What a Mac with this login shell answers to ASKED."""
    sent: list[str] = []

    def run(command: Any, **options: Any) -> None:
        sent.append(str(make_unix_command(command, **options).get_raw_value()))

    with_own_tools(run, "/bin/sh")(
        StringCommand(ASKED), _env={"PYTHON": sys.executable}, _shell_executable="sh"
    )
    done = subprocess.run(
        [shell, "-c", f"{startup}\n{sent[0]}"],
        cwd=home,
        env={"HOME": str(home), "PATH": os.defpath},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.stdout or done.stderr


@pytest.mark.parametrize("shell", ["zsh", "bash", "sh"])
def test_what_a_startup_file_sets_changes_no_answer(tmp_path: Path, shell: str) -> None:
    path = shutil.which(shell) or pytest.skip(f"there is no {shell} here")

    assert said(tmp_path, path, STARTUP) == SAID.format(home=tmp_path)


def test_functions_and_options_that_bash_exports_do_not_come_along(tmp_path: Path) -> None:
    bash = shutil.which("bash") or pytest.skip("there is no bash here")
    (tmp_path / "sh").symlink_to(bash)
    as_on_a_mac = f'/bin/sh() {{ {tmp_path}/sh "$@"; }}'

    text = said(tmp_path, bash, f"{EXPORTED}\n{as_on_a_mac}")

    assert text == SAID.format(home=tmp_path)
