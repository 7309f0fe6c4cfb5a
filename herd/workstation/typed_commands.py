"""What a person types to have something done: make's words, or those of `llama-herd`."""

import os
import re
import shlex
from collections.abc import Iterator

PROGRAM = "HERD_PROGRAM"
"""In the environment of llama-herd and of its children: what they were called as."""
# Which of make's variables are options of a verb; the others are its words.
_OPTIONS = ("INVENTORY", "LIMIT")
_SAID = re.compile(r"`make ([a-z-]+)((?: [A-Z]+=(?:'[^'`]*'|[^\s'\"`\\]+))*)`")


def command(verb: str, **variables: str) -> str:
    """As `make lock MODEL=tiny` or as `llama-herd lock tiny`; ARGS is taken as it is there."""
    program = os.environ.get(PROGRAM)
    if not program:
        return " ".join(["make", verb, *(f"{k}={shlex.quote(v)}" for k, v in variables.items())])
    return " ".join([program, verb, *_words(variables)])


def as_typed(text: str) -> str:
    """A text that says what to do as `make VERB`, for whoever types something else: the core, the
    scripts and the fetcher do not know who reads them."""
    return _SAID.sub(lambda said: f"`{command(said[1], **_variables(said[2]))}`", text)


def _variables(words: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in shlex.split(words))


def _words(variables: dict[str, str]) -> Iterator[str]:
    for name, value in variables.items():
        if name in _OPTIONS:
            yield f"--{name.lower()}={shlex.quote(value)}"
        else:
            yield value if name == "ARGS" else shlex.quote(value)
