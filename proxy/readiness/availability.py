"""The owner's word on whether requests are taken, in a file that outlives the proxy.

`python -m proxy drain` writes it and tells the proxy to look; without a file, all is ready.
"""

import json
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

LONGEST_REASON = 200


class State(StrEnum):
    """By the words of HAProxy's agent check."""

    READY = "ready"
    DRAIN = "drain"
    MAINT = "maint"


@dataclass(frozen=True, slots=True)
class Word:
    """What the owner said."""

    state: State
    reason: str = ""


READY = Word(State.READY)


def word(state: State, reason: str) -> Word:
    """A word with a reason of one short line; ValueError says what is wrong with that."""
    if len(reason) > LONGEST_REASON or not reason.isprintable():
        raise ValueError(f"a reason is one line of at most {LONGEST_REASON} letters")
    return Word(state, reason)


def read(path: Path) -> Word:
    """The word in a file; ValueError if it cannot be understood."""
    try:
        found = json.loads(path.read_text())
        return word(State(found["state"]), str(found.get("reason", "")))
    except FileNotFoundError:
        return READY
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{path} does not say ready, drain or maint") from None


def write(path: Path, said: Word) -> None:
    """Puts the word in place, whole or not at all, for the owner's eyes; OSError if it cannot."""
    if said == READY:
        path.unlink(missing_ok=True)
        return
    new = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with open(descriptor, "w") as file:
            json.dump({"state": said.state, "reason": said.reason}, file)
            file.write("\n")
        new.rename(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
