"""A stand-in for llama-swap v250 (github.com/mostlygeek/llama-swap), which no package index has.

Same flags, configuration, routes and texts as far as the toolkit and its tests depend on them;
tests/lab/test_llama_swap.py runs against the real one as well where there is one.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

MARK = "# A simulated Homebrew llama-swap."


def find() -> Path | None:
    """The real llama-swap that LAB_LLAMA_SWAP names or that is on the workstation's PATH."""
    named = os.environ.get("LAB_LLAMA_SWAP")
    if named:
        return Path(named).absolute()
    for directory in os.get_exec_path():
        found = shutil.which("llama-swap", path=directory)
        if found and not _is_wrapper(Path(found)):
            return Path(found).absolute()
    return None


def write_wrapper(path: Path) -> None:
    """Write an executable that runs the real llama-swap, or the stand-in where there is none."""
    real = find()
    if real is not None:
        lines = [f'exec {shlex.quote(str(real))} "$@"']
    else:
        root = shlex.quote(str(Path(__file__).resolve().parents[2]))
        lines = [
            f"PYTHONPATH={root}${{PYTHONPATH:+:$PYTHONPATH}}",
            "export PYTHONPATH",
            f'exec {shlex.quote(sys.executable)} -m lab.llama_swap "$@"',
        ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", MARK, *lines, ""]))
    path.chmod(0o755)


def _is_wrapper(path: Path) -> bool:
    with path.open("rb") as file:
        return MARK.encode() in file.read(200)
