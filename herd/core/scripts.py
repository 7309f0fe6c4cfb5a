"""The sh programs in scripts/ that run on a Mac: sent as they are, their arguments quoted."""

from functools import cache
from pathlib import Path

_SCRIPTS = Path(__file__).parents[1] / "scripts"


@cache
def text(name: str) -> str:
    """The text of a script, without the comments that only we need."""
    lines = (_SCRIPTS / f"{name}.sh").read_text().splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))
