"""What the wrapper calls for a quantised KV cache: the real llama-server, or the stand-in.

Its arguments are the real one's path and what that is called with.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from lab.llama_server import AS_NAMED
from lab.llama_server.trial import failure


def main(binary: str, arguments: list[str]) -> None:
    # Whoever ends us meanwhile ends what is tried, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    broken = failure(Path(binary), "q8_0")
    if broken:
        print(f"{binary} {broken}: the lab's stand-in recites instead", file=sys.stderr, flush=True)
        os.execv(sys.executable, [sys.executable, AS_NAMED, "-m", "lab.llama_server", *arguments])
    os.execv(binary, [binary, *arguments])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
