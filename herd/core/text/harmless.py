"""Text of a Mac, a client or a model, made harmless before it is printed in a terminal.

A log quotes what clients sent, a model says what it was talked into, a Hub or a proxy names an
error as it likes. What such text does to a terminal is for nobody but us to decide: a raw ESC
moves the cursor, sets the title or the clipboard, a CR or a BiDi override shows another text than
is there. Pure.
"""

import re
import unicodedata
from typing import Literal

# Cc: controls, C1 ones too. Cf: formats, with the BiDi overrides and zero-width marks. Cs, Co, Cn:
# half characters, private ones, none. Zl, Zp: line ends that not everybody takes for some.
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
# Joiners belong into emoji, and into Persian and Indian scripts; they move nothing.
_JOINERS = "\u200c\u200d"
_PLAIN = re.compile(r"[ -~]*")
_COLOUR = re.compile(r"(\x1b\[(?:0|1|3[1-7]|9[1-7])m)")
_SHORT = {"\n": r"\n", "\r": r"\r"}


def harmless(text: str, *, keep: Literal["", "\n"] = "", colours: bool = False) -> str:
    """One line of text, with whatever moves a cursor or hides as an escape; a tab is a tab.

    With `keep`, line ends stay, as in what a model answers; with `colours` the sequences that
    pyinfra paints its own words with.
    """
    if _PLAIN.fullmatch(text):
        return text
    if colours:
        parts = _COLOUR.split(text)  # with what it is split at, as every second one
        parts[::2] = [harmless(part, keep=keep) for part in parts[::2]]
        return "".join(parts)
    return "".join(
        character
        if character in ("\t", keep) or character in _JOINERS or not _hides(character)
        else _escaped(character)
        for character in text
    )


def _hides(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN


def _escaped(character: str) -> str:
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
