"""A command that runs one of our sh programs on the Mac."""

from typing import Any

from pyinfra.api import QuoteString, StringCommand

from herd.core import scripts


def script(name: str, *arguments: object, **connector_arguments: Any) -> StringCommand:
    """`scripts/NAME.sh` with these arguments, each quoted."""
    words = [QuoteString(str(argument)) for argument in arguments]
    command = ("sh", "-c", QuoteString(scripts.text(name)), name, *words)
    return StringCommand(*command, **connector_arguments)
