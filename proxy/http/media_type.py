"""Reads `Content-Type` and `Content-Disposition`: a word, and parameters behind it. Pure.

RFC 9110 5.6.6 and RFC 2045 5.1, with white space around `=` and unquoted values that should have
been quoted, as clients write them. What has no one reading is a ValueError.
"""

import re

Parameters = dict[str, str]

_WORD = re.compile(r"[ \t]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)?)[ \t]*")
_PARAMETER = re.compile(
    r";[ \t]*(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*=[ \t]*"
    r'(?:"((?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[ -~])*)"|([^\s";,\\\x00-\x1f\x7f]+))[ \t]*)?'
)
_PAIR = re.compile(r'\\(["\\])')


def parse(value: str) -> tuple[str, Parameters]:
    """The word in lower case, and each parameter by its name in lower case.

    In quotes `\\"` stands for a quote and `\\\\` for a backslash; another backslash is itself, as
    old browsers write paths."""
    found = _WORD.match(value)
    if found is None:
        raise ValueError(value)
    word, at = found[1].lower(), found.end()
    parameters: Parameters = {}
    while at < len(value):
        found = _PARAMETER.match(value, at)
        if found is None:
            raise ValueError(value)
        at = found.end()
        name, quoted, plain = found.groups()
        if name is None:
            continue  # nothing between two semicolons
        name = name.lower()
        if name in parameters:
            raise ValueError(value)
        parameters[name] = plain if quoted is None else _PAIR.sub(r"\1", quoted)
    return word, parameters


def is_utf8(charset: str) -> bool:
    """Whether text in this charset is UTF-8."""
    return charset.lower() in ("utf-8", "utf8", "us-ascii", "ascii")
