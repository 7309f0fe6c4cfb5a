"""A stand-in for llama-swap v250 (github.com/mostlygeek/llama-swap), which no package index has.

Same flags, configuration, routes and texts as far as the toolkit and its tests depend on them;
tests/lab/test_llama_swap.py runs against the real one as well where there is one.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from lab.real import named, on_path

MARK = "# A simulated Homebrew llama-swap."


NAMED = "LAB_LLAMA_SWAP"
# aiohttp reads them all as it is imported, which takes a third of that.
UNTRUSTED = "unset SSL_CERT_FILE SSL_CERT_DIR"


def find() -> Path | None:
    """The real llama-swap that LAB_LLAMA_SWAP names or that is on the workstation's PATH."""
    return named(NAMED) or next(on_path("llama-swap", MARK), None)


def describe() -> str:
    """Which llama-swap the Macs get, for a person: the real one with its version, or not."""
    real = find()
    if real is None:
        return f"a stand-in for v250; {NAMED} can name a real one"
    told = subprocess.run(
        [real, "-version"], capture_output=True, text=True, check=False, timeout=10
    ).stdout.partition(",")[0]  # "version: 250 (v250), built at ..."
    return f"the real one, {told or 'of an unknown version'}, {real}"


def write_wrapper(path: Path) -> None:
    """Write an executable that runs the real llama-swap, or the stand-in where there is none."""
    real = find()
    if real is not None:
        lines = [f'exec {shlex.quote(str(real))} "$@"']
    else:
        root = shlex.quote(str(Path(__file__).resolve().parents[2]))
        lines = [
            UNTRUSTED,
            f"PYTHONPATH={root}${{PYTHONPATH:+:$PYTHONPATH}}",
            "export PYTHONPATH",
            f'exec {shlex.quote(sys.executable)} -m lab.llama_swap "$@"',
        ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", MARK, *lines, ""]))
    path.chmod(0o755)
