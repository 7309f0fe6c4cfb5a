"""ps, pgrep and pkill, confined to this Mac's own processes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from dataclasses import dataclass

from lab import processes
from lab.commands.base import Illegal, fail, getopt, workstation
from lab.mac import Machine


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    name: str
    arguments: str


def table(mac: Machine) -> list[Process]:
    """What runs on this Mac."""
    pids = processes.of_mac(str(mac.root))
    if not pids:
        return []
    listing = subprocess.run(
        [
            workstation("ps") or "ps",
            "-ww",
            "-o",
            "pid=,ppid=,args=",
            "-p",
            ",".join(map(str, pids)),
        ],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()]
    return [
        Process(int(pid), int(parent), command_name(arguments), arguments)
        for pid, parent, arguments in (row for row in rows if len(row) == 3)
    ]


def command_name(arguments: str) -> str:
    """The name macOS would show.

    Our stand-ins for compiled programs are scripts, so for a script it is the script's name.
    """
    words = arguments.split()
    name = os.path.basename(words[0])
    if re.fullmatch(r"(?:python[\d.]*|sh|dash|bash)", name):
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
    everything = False
    passed = []
    for number, word in enumerate(args):
        previous = args[number - 1] if number else ""
        cluster = re.fullmatch(r"(-?)([A-Za-z]+)", word)
        is_value = previous.startswith("-") and previous[-1:] in "opgutUGO"
        if cluster is None or is_value or (number and not word.startswith("-")):
            passed.append(word)
            continue
        letters = cluster[2]
        head, option, tail = re.fullmatch(r"([^op]*)([op]?)(.*)", letters).groups()  # type: ignore[union-attr]
        everything = everything or bool(set("eAax") & set(head))
        kept = "".join(letter for letter in head if letter not in "eAax") + option + tail
        if kept:
            passed.append(cluster[1] + kept)
    program = workstation("ps") or "ps"
    if everything:
        pids = processes.of_mac(str(mac.root))
        passed += ["-p", ",".join(map(str, pids))]
    os.execv(program, ["ps", *passed])


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
