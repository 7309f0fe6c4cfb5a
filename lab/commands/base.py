"""What the stand-ins share: error output, BSD option parsing, handing over to a real program."""

from __future__ import annotations

import os
import sys

from lab.mac import Machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


class Illegal(Exception):
    """An option getopt(3) does not know, or one without its argument."""


def fail(text: str, code: int = 1) -> int:
    """Print to stderr and return the exit code."""
    sys.stderr.write(text + "\n")
    return code


def as_root() -> bool:
    """Whether sudo started us.  (The workstation's own uid means nothing here.)"""
    return os.environ.get("LAB_AS_ROOT") == "1"


def getopt(args: list[str], options: str) -> tuple[list[tuple[str, str]], list[str]]:
    """BSD getopt(3): stops at the first operand, knows no long options."""
    flags: list[tuple[str, str]] = []
    rest = list(args)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        cluster = rest.pop(0)[1:]
        if cluster == "-":
            break
        while cluster:
            letter, cluster = cluster[0], cluster[1:]
            at = options.find(letter)
            if at < 0 or letter == ":":
                raise Illegal(f"illegal option -- {letter}")
            if options[at + 1 : at + 2] != ":":
                flags.append((letter, ""))
                continue
            if not cluster and not rest:
                raise Illegal(f"option requires an argument -- {letter}")
            flags.append((letter, cluster or rest.pop(0)))
            cluster = ""
    return flags, rest


def workstation(name: str) -> str | None:
    """The workstation's own program of that name, from its standard folders."""
    for folder in ("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"):
        if os.access(f"{folder}/{name}", os.X_OK):
            return f"{folder}/{name}"
    return None


def hand_over(name: str, args: list[str], mac: Machine) -> NoReturn:
    """Become the workstation's own program."""
    program = workstation(name)
    if program is None:
        sys.exit(fail(f"sh: {name}: command not found", 127))
    sys.stdout.flush()
    os.execv(program, [name, *args])
