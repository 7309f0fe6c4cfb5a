"""`python -m herd.make_arguments COMMAND… {} …`: runs it with the words of ARGS in place of {}.

ARGS is parted as a shell parts a line, by its quotes, but is no shell's to read: in it there are
no commands, variables or patterns of files.
"""

import os
import shlex
import sys


def main(command: list[str], args: str) -> None:
    """Becomes the command."""
    try:
        words = shlex.split(args)
    except ValueError as error:
        sys.exit(f"ARGS has {str(error).lower()}: {args}")
    # The first one is ours: what a person types stands behind it, or in the same word as its flag.
    at = command.index("{}")
    command[at : at + 1] = words
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:], os.environ.get("ARGS", ""))
