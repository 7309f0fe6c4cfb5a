"""What a shell's startup files print stands before whatever a command over SSH says."""

from collections.abc import Sequence

from herd.core.settings.problems import Problem
from herd.core.text.quoting import elided

_SHOWN = 3
_READ = "~/.zshenv, ~/.bashrc, ~/.tcshrc, ~/.config/fish"
MUTE = (
    f"does not come to what it is asked: a startup file of the user's shell ({_READ}) "
    "may wait for somebody to type, or for something that does not come."
)
"""What may be the matter with a Mac that takes commands, and does not end them."""


def silent(said: Sequence[str]) -> str:
    """The same of one that ends them, and answers none; `said` is what came instead, in lines."""
    instead = f"but {_quoted(said)} " if said else ""
    return (
        f"says nothing to what it is asked, {instead}as where a startup file of the user's shell "
        f"({_READ}) ends the shell or starts another program in its place, or no shell is what "
        "this user logs in to (`dscl . -read ~ UserShell` on the Mac tells)"
    )


def problem(noise: Sequence[str], files: Sequence[str], home: str) -> Problem:
    """`noise` is what came, in lines, `files` the absolute paths of those that print."""
    names = [f"~{path[len(home) :]}" if path.startswith(f"{home}/") else path for path in files]
    who = " and ".join(names) or "A startup file of the user's shell"
    verb = "print" if len(names) > 1 else "prints"
    return Problem(
        where="login shell",
        what=f"{who} {verb} {_quoted(noise)} with each command over SSH, and into each file that "
        "is copied.",
        fix="have it print in a terminal only: put `[ -t 1 ] &&` before that line, or move the "
        "line to a file that only terminals read, as ~/.zshrc or ~/.bash_profile.",
        kind="mac",
    )


def _quoted(lines: Sequence[str]) -> str:
    if not any(line.strip() for line in lines):
        return "an empty line"
    lines = [line for line in lines if line.strip()]
    more = f" and {len(lines) - _SHOWN} lines more" if len(lines) > _SHOWN else ""
    return " / ".join(f'"{elided(line.strip(), 80)}"' for line in lines[:_SHOWN]) + more
