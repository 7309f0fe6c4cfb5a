"""What a person types to have something done: make's words, or those of `llama-herd`."""

import os
import shlex
from collections.abc import Iterator

PROGRAM = "HERD_PROGRAM"
"""In the environment of llama-herd and of its children: what they were called as."""
# Which of make's variables are options of a verb; the others are its words.
_OPTIONS = ("INVENTORY", "LIMIT")


def command(verb: str, **variables: str) -> str:
    """As `make lock MODEL=tiny` or as `llama-herd lock tiny`; ARGS is taken as it is there."""
    program = os.environ.get(PROGRAM)
    if not program:
        return " ".join(["make", verb, *(f"{k}={shlex.quote(v)}" for k, v in variables.items())])
    return " ".join([program, verb, *_words(variables)])


def _words(variables: dict[str, str]) -> Iterator[str]:
    for name, value in variables.items():
        if name in _OPTIONS:
            yield f"--{name.lower()}={shlex.quote(value)}"
        else:
            yield value if name == "ARGS" else shlex.quote(value)
