"""A command line of root: words that are known beforehand, or a pattern where they are not."""

import re

Command = tuple[str, ...]
"""The absolute path of a program, and its arguments, or a `Pattern` of them all."""


class Pattern(str):
    """All arguments, joined by blanks, as an extended regular expression without the ^ and $ that
    sudoers(5) wants around it, and without a backslash; sudo knows these from 1.9.10 on."""


def literally(text: str) -> str:
    """What in a pattern means this text and nothing else."""
    return re.sub(r"[^\w/ @-]", lambda match: f"[{match[0]}]", text, flags=re.ASCII)
