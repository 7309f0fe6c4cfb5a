"""A command over SSH is read by the user's login shell first, whichever that is.

sh, bash, zsh, ksh and dash read what sh's quoting says. fish does, but for a backslash in single
quotes (fish(1), "Quotes"). csh takes no newline there, and every `!` for its history (tcsh(1),
"Lexical structure"); nu and elvish take quotes raw, xonsh as Python does.
"""

import re
from pathlib import PurePosixPath

_TAKE_LINES = frozenset(["sh", "bash", "zsh", "ksh", "mksh", "dash", "fish"])

_WORDS = re.compile(r"""'([^']*)'|"(?:[^"\\]|\\.)*"|\\.|[^'"\\]+""", re.DOTALL)
# Of two in a row, and right before the end: there fish takes it as a sign of its own.
_BACKSLASH = re.compile(r"\\(?=\\|\Z)")

# In four digits, as printf's %b would take a digit that comes behind into the number (POSIX).
_OCTAL = {character: f"\\0{ord(character):03o}" for character in "\\'!$\n\r"}


def takes_lines(shell: str) -> bool:
    """Whether a login shell, by its path, reads commands of several lines as sh does."""
    return PurePosixPath(shell.strip()).name in _TAKE_LINES


def portable(command: str) -> str:
    """A command in sh's quoting that fish reads alike."""
    if "\\\\" not in command and "\\'" not in command:
        return command
    return _WORDS.sub(_for_fish, command)


def _for_fish(word: re.Match[str]) -> str:
    quoted = word[1]
    return word[0] if quoted is None else "'" + _BACKSLASH.sub(r"'\\\\'", quoted) + "'"


def encoded(command: str, shell: str = "") -> str:
    """A command in sh's quoting as two words that every shell reads alike, in one line; but for
    xonsh, by its path, which knows escapes in any quotes ("Strings" of its tutorial)."""
    text = "".join(_OCTAL.get(character, character) for character in command)
    if PurePosixPath(shell).name == "xonsh":
        text = text.replace("\\", "\\\\")
    return f"""/bin/sh -c 'eval "$(printf %b "$0")"' '{text}'"""
