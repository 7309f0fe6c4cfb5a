"""Our sum of caches beside llama.cpp's own: `python bench/fit.py DIRECTORY LLAMA_FIT_PARAMS`.

Of each GGUF file below the directory, the ratio of what we count to the context of
`llama-fit-params --fit-print on`, in three uses: 32768 tokens in f16, the same in q8_0 for four
slots, and 131072 in f16. 1.00 is llama.cpp's own; it prints whole MiB, and one of them is nothing.

A model of each architecture comes from llama.cpp's own tests, of the same build:
`test-llama-archs -o DIRECTORY` (with `n_layer` in it raised from 2 to 24, as caches of two layers
tell little); any model that you have does, as nothing of it is loaded.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from herd.core.models import caches
from herd.core.models.kv_cache import kv_cache
from herd.core.models.memory_use import Use
from herd.core.models.model_facts import Facts, read_facts
from herd.core.text.units import MIB

USES = {
    "f16": Use(32768, 1),
    "q8_0, 4 slots": Use(32768, 4, "q8_0", "q8_0"),
    "f16, 131072": Use(131072, 1),
}
LEAST, MOST = 1.0, 1.1


class File:
    """A file, read by pieces."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, offset: int, size: int) -> bytes:
        with self._path.open("rb") as file:
            file.seek(offset)
            return file.read(size)


def printed(program: str, path: Path, use: Use) -> int | None:
    """MiB of context, on all devices; None where llama.cpp makes none of it."""
    words = [
        *("--fit-print", "on", "-m", str(path), "-c", str(use.ctx_size), "-np", str(use.parallel)),
        *("-ctk", use.cache_type_k, "-ctv", use.cache_type_v, "-fa", "on"),
    ]
    done = subprocess.run([program, *words], capture_output=True, text=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    return None if done.returncode else sum(int(row[2]) for row in rows if len(row) == 4)


def counted(use: Use, facts: Facts) -> int:
    """The same by us."""
    cache = sum(layers.size for layers in kv_cache(use, facts))
    return (cache + use.parallel * caches.states(facts)) // MIB


def ratios(program: str, path: Path) -> Iterator[str]:
    """A column for each use; "-" where there is nothing to compare."""
    facts = read_facts(File(path))
    for use in USES.values():
        theirs, ours = printed(program, path, use), counted(use, facts)
        same = theirs is not None and abs(ours - theirs) <= 1
        yield "-" if theirs is None else "1.00" if same else f"{ours / max(theirs, 1):.2f}"


def main() -> int:
    directory, program = Path(sys.argv[1]), sys.argv[2]
    print(f"{'file':32}" + "".join(f"{name:>22}" for name in USES))
    worst = [LEAST]
    for path in sorted(directory.rglob("*.gguf")):
        found = list(ratios(program, path))
        worst += [float(each) for each in found if each != "-"]
        print(f"{path.stem:32}" + "".join(f"{each:>22}" for each in found), flush=True)
    print(f"{len(worst) - 1} ratios, from {min(worst):.2f} to {max(worst):.2f}")
    return int(not LEAST <= min(worst) <= max(worst) <= MOST)


if __name__ == "__main__":
    raise SystemExit(main())
