"""What a shell's startup files print stands before whatever a command over SSH says."""

from collections.abc import Sequence

from herd.core.settings.problems import Problem
from herd.core.text.quoting import elided

_SHOWN = 3
SILENT = (
    "says nothing to what it is asked: a startup file of the user's shell (~/.zshenv, ~/.bashrc) "
    "may end the shell, or start another program in its place"
)
"""What may be the matter with a Mac that takes commands, and answers none."""
MUTE = (
    "does not come to what it is asked: a startup file of the user's shell (~/.zshenv, ~/.bashrc) "
    "may wait for somebody to type, or for something that does not come."
)
"""The same of one that does not end them."""


def problem(noise: Sequence[str], files: Sequence[str], home: str) -> Problem:
    """`noise` is what came, in lines, `files` the absolute paths of those that print."""
    shown = " / ".join(f'"{elided(line.strip(), 80)}"' for line in noise[:_SHOWN])
    more = f" and {len(noise) - _SHOWN} lines more" if len(noise) > _SHOWN else ""
    names = [f"~{path[len(home) :]}" if path.startswith(f"{home}/") else path for path in files]
    who = " and ".join(names) or "A startup file of the user's shell"
    verb = "print" if len(names) > 1 else "prints"
    return Problem(
        where="login shell",
        what=f"{who} {verb} {shown}{more} before each command over SSH, and into each file that "
        "is copied.",
        fix="have it print in a terminal only: put `[ -t 1 ] &&` before that line, or move the "
        "line to a file that only terminals read, as ~/.zshrc or ~/.bash_profile.",
        kind="mac",
    )
