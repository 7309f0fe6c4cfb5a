"""`drain`, `maint` and `ready`: the owner's word on whether requests are taken; and `check`.

The word is a file, so it holds over a restart; a proxy that runs is told to read it now, and asked
what is still open.
"""

import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from proxy.readiness import availability
from proxy.readiness.availability import State
from proxy.readiness.control_client import NotThere, ask, beside

FILE = "availability.json"
ANSWER_SECONDS = 5.0
CHECK_SECONDS = 600.0
PAUSE = 0.2
"""Seconds between two questions for what is open."""

STATES = {
    State.DRAIN: "let what runs finish, and refuse what is new",
    State.MAINT: "the same, and tell gateways that it is for longer",
    State.READY: "take requests again",
}


def add_state(parser: ArgumentParser, state: State) -> None:
    """The options of a state."""
    add_file(parser)
    if state is not State.READY:
        parser.add_argument(
            "--reason", default="", metavar="TEXT", help="what clients are told; one line"
        )
        parser.add_argument(
            "--wait", type=_seconds, metavar="SECONDS", help="until no request is open, or so long"
        )


def add_file(parser: ArgumentParser) -> None:
    """Which proxy it is about."""
    parser.add_argument(
        "--availability", type=Path, default=Path(FILE), metavar="PATH",
        help=f"the proxy's --availability file (default: {FILE})",
    )  # fmt: skip


def set_state(args: Namespace) -> int:
    """Says the word; with `--wait`, 1 if requests are still open then."""
    state = State(args.command)
    path: Path = args.availability
    try:
        word = availability.word(state, getattr(args, "reason", ""))
        if not path.absolute().parent.is_dir():
            raise ValueError(f"there is no directory {path.absolute().parent}")
        availability.write(path, word)
    except (ValueError, OSError) as problem:
        print(f"proxy: cannot say {state}: {problem}", file=sys.stderr)
        return 2 if isinstance(problem, ValueError) else 1
    end = time.monotonic() + (getattr(args, "wait", None) or 0.0)
    try:
        count, unheard = _open(path)
        while (count or unheard) and time.monotonic() < end:
            time.sleep(PAUSE)
            count, unheard = _open(path)
    except NotThere:
        print(f"{state}; no proxy runs, and the next one will find it so")
        return 0
    except OSError as problem:
        print(f"proxy: it does not answer: {problem}", file=sys.stderr)
        return 1
    requests = f"{count or 'no'} request{'' if count == 1 else 's'} open"
    print(f"{state}; {requests}")
    return 1 if count and getattr(args, "wait", None) is not None else 0


def check(args: Namespace) -> int:
    """Asks each loaded model for a token; 1 if one gives none."""
    try:
        answer = ask(beside(args.availability), "check", CHECK_SECONDS)
    except NotThere:
        print("proxy: no proxy runs here", file=sys.stderr)
        return 1
    except OSError as problem:
        print(f"proxy: it does not answer: {problem}", file=sys.stderr)
        return 1
    models: dict[str, str] = answer["models"]
    print("\n".join(f"{name}: {said}" for name, said in sorted(models.items())) or "none is loaded")
    return int(any(said != "answers" for said in models.values()))


def _open(path: Path) -> tuple[int, float]:
    """How many requests are open, and for how many seconds gateways may send others, as they have
    not heard of it; one that runs since an earlier version says only the former."""
    said = ask(beside(path), "look", ANSWER_SECONDS)
    return int(said["open"]), float(said.get("unheard", 0))


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < float("inf"):
        raise ArgumentTypeError(f"not a number of seconds: {text!r}")
    return value
