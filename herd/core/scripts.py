"""The sh programs in scripts/ that run on a Mac: sent as they are, their arguments quoted.

Those in `look/` change nothing, those in `change/` do; a name is in one of them only.
"""

from functools import cache
from pathlib import Path

_SCRIPTS = Path(__file__).parents[1] / "scripts"


@cache
def text(name: str) -> str:
    """The text of a script, without the comments that only we need."""
    (path,) = _SCRIPTS.glob(f"*/{name}.sh")
    lines = path.read_text().splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))
