"""Commands as people type them: whether they have a target and options that exist; none is run."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.core.samples import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
PROGRAMS = ("python", "pyinfra", "ruff", "mypy", "uv")
# In place of a program: writes down how it was called, how many words first. What parts the words
# of ARGS is no end.
RECORDER = r"""#!/bin/sh
if [ "$1 $2" = "-m herd.make_arguments" ]; then PYTHONPATH={root} exec {python} -S "$@"; fi
printf '%s\0' "$#" "${{0##*/}}" "$@" >>calls
"""
# Says which calls do not parse, in the program's own words. Not in the tests' process: pyinfra_cli
# patches the sockets of whoever imports it.
PARSE = """
import pyinfra_cli.cli
import contextlib, io, json, pathlib, sys
import herd.__main__, lab.__main__, proxy.__main__
modules = {"herd": herd.__main__, "lab": lab.__main__, "proxy": proxy.__main__}
def parse(program, *words):
    if program == "pyinfra":
        pyinfra_cli.cli.cli.make_context("pyinfra", list(words))
    elif program == "python" and words[0] == "-m" and words[1] in modules:
        modules[words[1]].parser().parse_args(words[2:])
    elif program == "python" and words[0] != "-m" and not pathlib.Path(words[0]).exists():
        raise ValueError(f"there is no {words[0]}")
for place, line, call in json.load(sys.stdin):
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            parse(*call)
    except (SystemExit, Exception) as error:
        if getattr(error, "code", 1):
            print(f"{place}: {line}: {said.getvalue().strip() or error}".replace("\\n", " "))
"""


def stamp(directory: Path) -> None:
    """Have make think that the environment in a directory is made."""
    for made in re.findall(r"^(\.venv/\.\w+):", MAKEFILE, re.MULTILINE):
        (directory / made).touch()


def workshop(directory: Path) -> None:
    """Our Makefile in an empty directory, with recorders as its programs."""
    shutil.copy(ROOT / "Makefile", directory)
    for needed in re.findall(r"^\.venv/\.\w+: (\S+)", MAKEFILE, re.MULTILINE):
        (directory / needed).touch()
    (directory / ".venv/bin").mkdir(parents=True)
    (directory / "path").mkdir()
    for program in (*(f".venv/bin/{name}" for name in PROGRAMS), "path/npm"):
        file = directory / program
        quoted = {"python": shlex.quote(sys.executable), "root": shlex.quote(str(ROOT))}
        file.write_text(RECORDER.format(**quoted))
        file.chmod(0o755)
    stamp(directory)


def recorded(directory: Path) -> list[list[str]]:
    """The calls there since they were last removed."""
    calls = directory / "calls"
    words = iter(calls.read_bytes().decode().split("\0") if calls.exists() else ())
    return [[next(words) for _ in range(int(count) + 1)] for count in words if count]


def complaints(commands: Iterable[tuple[str, str]], directory: Path) -> list[str]:
    """Of commands with their places, tried in an empty directory: those that would not work."""
    failed, found = [], []
    for place, line, calls in _calls(commands, directory):
        if isinstance(calls, str):
            failed.append(f"{place}: {line}: {calls}")
        else:
            found += [(place, line, call) for call in calls]
    done = subprocess.run(
        [sys.executable, "-c", PARSE],
        cwd=ROOT,
        input=json.dumps(found),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return failed + done.stdout.splitlines()


def _calls(
    commands: Iterable[tuple[str, str]], directory: Path
) -> Iterator[tuple[str, str, list[list[str]] | str]]:
    """What each command would call, by our Makefile among recorders; or why it fails."""
    workshop(directory)
    tried: dict[str, list[list[str]] | str] = {}
    # What is only mentioned, as `make key`, lacks what it cannot do without.
    known = os.environ | {"NAME": "me", "DIR": "../fleet", "REPO": "owner/name"}
    known["PATH"] = f"{directory / 'path'}:{known['PATH']}"
    for place, line in commands:
        if line not in tried:
            (directory / "calls").unlink(missing_ok=True)
            run = ["sh", "-c", line]
            done = subprocess.run(run, cwd=directory, env=known, capture_output=True, text=True)
            tried[line] = done.stderr.strip() if done.returncode else recorded(directory)
        yield place, line, tried[line]
