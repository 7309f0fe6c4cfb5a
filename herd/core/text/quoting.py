"""Which text may go into commands, YAML and XML, and what it looks like there."""

import json
import shlex
import unicodedata
from xml.sax.saxutils import escape

# Cc control, Cs surrogates, Zl/Zp line and paragraph separators: YAML 1.2 (5.1) and XML 1.0 (2.2)
# cannot carry them, launchctl and llama-swap read line by line.
_UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}


def complaint(value: str, *, llama_swap: bool = True) -> str | None:
    """Why `value` cannot be carried exactly to where it is used; None when it can.

    With `llama_swap`, also what its config loader would change: `${x}` is a macro there, also
    within quotes, and has no escape (llama-swap, docs/configuration.md, "macros").
    """
    for character in value:
        if unicodedata.category(character) in _UNPRINTABLE or character in "\ufeff\ufffe\uffff":
            return f"holds the character U+{ord(character):04X}, which is not printable"
    if llama_swap and "${" in value:
        return "holds `${`, which llama-swap reads as a macro and offers no escape for"
    return None


def shell_quote(value: object) -> str:
    """One word of a POSIX command line, and of llama-swap's `cmd`, which splits by its rules."""
    return shlex.quote(str(value))


def yaml_quote(value: object) -> str:
    """A YAML 1.2 scalar or flow collection: JSON is a subset of it, and it quotes every string."""
    return json.dumps(value, ensure_ascii=False)


def xml_quote(value: object) -> str:
    """Character data of an XML element."""
    return escape(str(value))


def haproxy_quote(value: object) -> str:
    """One word of a line of HAProxy's configuration, in which nothing is expanded
    (configuration.txt, 2.2). Where HAProxy reads a word further (log formats, arguments in
    parentheses), what is in it is ours. Raises ValueError for what no line can hold."""
    if reason := complaint(str(value), llama_swap=False):
        raise ValueError(f"a word for HAProxy {reason}")
    return "'" + str(value).replace("'", "'\\''") + "'"


def elided(value: str, most: int = 160) -> str:
    """`value` in at most so many characters: a command line is known by its start and its end."""
    half = (most - 3) // 2
    return value if len(value) <= most else f"{value[:half]}...{value[-half:]}"
