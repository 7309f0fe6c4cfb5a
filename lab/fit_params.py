"""llama-fit-params on a simulated Mac: a real one, or a stand-in that tells what it is told to.

Whether Homebrew's bottle has it was not looked at, so a Mac has none unless `fit_params` says so.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from lab.real import named

NAMED = "LAB_LLAMA_FIT_PARAMS"

# As common_fit_print says it (llama.cpp, common/fit.cpp), of a file that begins as a GGUF file
# does; what a token takes is no real figure.
STAND_IN = """\
model= tokens=0
while [ $# -gt 0 ]; do
  case $1 in
    -h|--help)
      cat <<'EOF'
-m,    --model FNAME                    model path to load
-c,    --ctx-size N                     size of the prompt context
-np,   --parallel N                     number of parallel sequences to decode
-b,    --batch-size N                   logical maximum batch size
-ub,   --ubatch-size N                  physical maximum batch size
-ctk,  --cache-type-k TYPE              KV cache data type for K
-ctv,  --cache-type-v TYPE              KV cache data type for V
-fa,   --flash-attn [on|off|auto]       set Flash Attention use
--swa-full                              use full-size SWA cache
--fit-print [on|off]                    print the estimated required memory
EOF
      exit 0 ;;
    -m|--model) model=$2; shift ;;
    -c|--ctx-size) tokens=$2; shift ;;
    --swa-full) ;;
    -np|--parallel|-b|--batch-size|-ub|--ubatch-size|-ctk|--cache-type-k) shift ;;
    -ctv|--cache-type-v|-fa|--flash-attn|--fit-print) shift ;;
    *) echo "error: invalid argument: $1" >&2; exit 1 ;;
  esac
  shift
done
if [ "$(head -c 4 "$model" 2>/dev/null)" != GGUF ]; then
  echo "llama_model_load: error loading model: no GGUF file: $model" >&2
  exit 1
fi
printf 'MTL0 %d %d 64 \\n' $(($(wc -c <"$model") >> 20)) $((tokens * kib >> 10))
echo 'Host 0 0 4 '
"""


def find() -> Path | None:
    """The real one that LAB_LLAMA_FIT_PARAMS names. Raises lab.real.NotThere."""
    return named(NAMED)


def write_wrapper(path: Path, kib: int) -> None:
    """An executable; the stand-in tells so many KiB of caches for each token."""
    real = find()
    body = f'exec {shlex.quote(str(real))} "$@"\n' if real else f"kib={kib}\n{STAND_IN}"
    path.write_text(f"#!/bin/sh\n{body}")
    os.chmod(path, 0o755)
