"""ps, pgrep and pkill, confined to this Mac's own processes."""

from __future__ import annotations

import os
import sys

from lab import processes
from lab.commands.base import Illegal, fail, getopt, workstation
from lab.mac import Machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Process:
    """One that lives; its name is what macOS would show."""

    def __init__(self, pid: int, parent: int, arguments: str) -> None:
        self.pid = pid
        self.parent = parent
        self.name = command_name(arguments)
        self.arguments = arguments


def table(mac: Machine) -> list[Process]:
    """What runs on this Mac."""
    pids = processes.of_mac(mac.folder)
    rows = _of_proc(pids) if os.path.isdir("/proc/self") else _of_ps(pids)
    return [Process(*row) for row in rows]


def _of_proc(pids: Iterable[int]) -> Iterator[tuple[int, int, str]]:
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().rstrip(b"\0").replace(b"\0", b" ")
        except OSError:  # gone meanwhile
            continue
        if words:
            yield pid, parent, words.decode(errors="replace").replace("\n", " ")


def _of_ps(pids: list[int]) -> Iterator[tuple[int, int, str]]:
    import subprocess

    if not pids:
        return
    listed = ",".join(map(str, pids))
    call = [workstation("ps") or "ps", "-ww", "-o", "pid=,ppid=,args=", "-p", listed]
    for line in subprocess.run(call, capture_output=True, text=True).stdout.splitlines():
        pid, parent, *arguments = line.split(None, 2)
        if arguments:
            yield int(pid), int(parent), arguments[0]


def command_name(arguments: str) -> str:
    """The name macOS would show.

    Our stand-ins for compiled programs are scripts, so for a script it is the script's name.
    """
    words = arguments.split()
    name = os.path.basename(words[0])
    if name in ("sh", "dash", "bash") or name.rstrip("0123456789.") == "python":
        for number, word in enumerate(words[1:], 1):
            if word == "-m" and number + 1 < len(words):
                return words[number + 1].rpartition(".")[2].replace("_", "-")
            if word in ("-c", "-"):
                break
            if not word.startswith("-"):
                return os.path.basename(word).removesuffix(".py")
    return name


def ps(mac: Machine, args: list[str]) -> int:
    """The workstation's ps; asked for everything, it is given the Mac's processes."""
    import subprocess

    everything = False
    passed = []
    for number, word in enumerate(args):
        previous = args[number - 1] if number else ""
        letters = word.removeprefix("-")
        is_cluster = letters.isascii() and letters.isalpha()
        is_value = previous.startswith("-") and previous[-1:] in "opgutUGO"
        if not is_cluster or is_value or (number and not word.startswith("-")):
            passed.append(word)
            continue
        head = letters.partition("o")[0].partition("p")[0]
        tail = letters.removeprefix(head)
        everything = everything or bool(set("eAax") & set(head))
        kept = "".join(letter for letter in head if letter not in "eAax") + tail
        if kept:
            passed.append(("-" if word.startswith("-") else "") + kept)
    program = workstation("ps") or "ps"
    if everything:
        pids = processes.of_mac(mac.folder)
        passed += ["-p", ",".join(map(str, pids))]
    letters_as_they_are = {**os.environ, "LC_CTYPE": "C.UTF-8"}  # procps shows "?" for them else
    done = subprocess.run(
        [program, *passed], capture_output=True, encoding="utf-8", errors="replace",
        env=letters_as_they_are,
    )  # fmt: skip
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done.returncode


def pgrep(mac: Machine, args: list[str]) -> int:
    """pgrep(1) of BSD; rc 1 and silence when nothing matches."""
    try:
        flags, rest = getopt(args, "LafilnoqvxF:G:P:U:d:g:t:u:")
    except Illegal as error:
        return fail(f"pgrep: {error}\nusage: pgrep [-Lafilnoqvx] [-d delim] pattern ...", 2)
    options = dict(flags)
    found = _matching(mac, options, rest)
    if "q" not in options:
        for process in found:
            shown = process.arguments if "f" in options else process.name
            print(f"{process.pid} {shown}" if "l" in options else process.pid)
    return 0 if found else 1


def pkill(mac: Machine, args: list[str]) -> int:
    import contextlib
    import re
    import signal

    number = signal.SIGTERM
    rest = list(args)
    if rest and (match := re.fullmatch(r"-(?:SIG)?([A-Z]+|\d+)", rest[0])):
        name = match[1]
        number = signal.Signals(int(name)) if name.isdigit() else signal.Signals[f"SIG{name}"]
        rest.pop(0)
    try:
        flags, rest = getopt(rest, "ILafilnovxF:G:P:U:g:t:u:")
    except Illegal as error:
        return fail(f"pkill: {error}\nusage: pkill [-signal] [-ILfilnovx] pattern ...", 2)
    found = _matching(mac, dict(flags), rest)
    for process in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
    return 0 if found else 1


def _matching(mac: Machine, options: dict[str, str], patterns: list[str]) -> list[Process]:
    import re

    everything = table(mac)
    ours = {os.getpid()}
    parents = {process.pid: process.parent for process in everything}
    above = os.getppid()
    while above in parents:  # without -a, ancestors are left out too
        ours.add(above)
        above = parents[above]
    flags = re.IGNORECASE if "i" in options else 0
    match = re.fullmatch if "x" in options else re.search
    found = [
        process
        for process in everything
        if process.pid not in ours
        and (
            not patterns
            or any(
                match(pattern, process.arguments if "f" in options else process.name, flags)
                for pattern in patterns
            )
        )
        and ("P" not in options or str(process.parent) in options["P"].split(","))
    ]
    if "n" in options or "o" in options:
        found = sorted(found, key=lambda process: process.pid)
        found = found[-1:] if "n" in options else found[:1]
    return found
