"""The sh programs in scripts/ that run on a Mac: sent as they are, their arguments quoted.

Those in `look/` change nothing, those in `change/` do; a name is in one of them only. What several
of them share is in `shared/`: a line `. NAME.sh` stands for it.
"""

import re
from functools import cache
from pathlib import Path

_SCRIPTS = Path(__file__).parents[1] / "scripts"


@cache
def text(name: str) -> str:
    """The text of a script, with what it shares and without the comments that only we need."""
    (path,) = _SCRIPTS.glob(f"*/{name}.sh")
    lines = path.read_text().splitlines()
    return "\n".join(_with_shared(line) for line in lines if not line.lstrip().startswith("#"))


def _with_shared(line: str) -> str:
    shared = re.fullmatch(r"\. ([a-z-]+)\.sh", line)
    return text(shared[1]) if shared else line
