"""lsof(8) for sockets: one's own processes only, which on a simulated Mac are the Mac's."""

from __future__ import annotations

import _socket  # whose other half has enums, which take as long as Python's start
import os
import sys

from lab import processes
from lab.commands.base import fail, workstation
from lab.commands.processes import table
from lab.mac import USER, Machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LISTEN = "0A"  # states of /proc/net/tcp
STATES = {"01": "ESTABLISHED", "06": "TIME_WAIT", "08": "CLOSE_WAIT", LISTEN: "LISTEN"}


class Socket:
    """A line of /proc/net/tcp, or of tcp6."""

    def __init__(self, version: int, words: list[str]) -> None:
        self.version = version
        self.inode = words[9]
        self.state = words[3]
        self.here = _address(words[1])
        self.there = _address(words[2])


class Options:
    """The few of lsof's many options that ask about TCP."""

    def __init__(self) -> None:
        self.terse = False
        self.addresses = False  # -n: numbers, not names
        self.ports = False  # -P
        self.internet: str | None = None
        self.states: str | None = None
        self.pid: set[int] | None = None
        self.descriptors: str | None = None


def lsof(mac: Machine, args: list[str]) -> int:
    options = _parse(args)
    if options.descriptors == "cwd":
        return _real(mac, args) if sys.platform == "darwin" else _directories(options)
    if options.internet is None:
        return fail("lsof: this simulation shows sockets only: use -i")
    if sys.platform == "darwin":
        return _real(mac, args)
    rows = list(_rows(mac, options))
    if options.terse:
        for pid in sorted({pid for pid, _ in rows}):
            print(pid)
    elif rows:
        print("COMMAND     PID   USER   FD   TYPE             DEVICE SIZE/OFF NODE NAME")
        for _, row in rows:
            print(row)
    return 0 if rows else 1


def _parse(args: list[str]) -> Options:
    options = Options()
    rest = list(args)
    while rest:
        word = rest.pop(0).lstrip("-")
        while word:
            letter, word = word[0], word[1:]
            if letter == "t":
                options.terse = True
            elif letter == "n":
                options.addresses = True
            elif letter == "P":
                options.ports = True
            elif letter in "isdFp":
                if not word and letter not in "sF" and rest and not rest[0].startswith("-"):
                    word = rest.pop(0)
                if letter == "i":
                    options.internet = word
                elif letter == "s":
                    options.states = word.upper()
                elif letter == "d":
                    options.descriptors = word
                elif letter == "F":
                    pass  # which fields; all that are asked for here
                else:
                    options.pid = {int(pid) for pid in word.split(",")}
                word = ""
    return options


def _directories(options: Options) -> int:
    """`-d cwd -Fn`: a line for the process, its descriptor and its name (lsof(8), OUTPUT FOR OTHER
    PROGRAMS)."""
    found = False
    for pid in sorted(options.pid or ()):
        try:
            path = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            continue
        found = True
        print(f"p{pid}\nfcwd\nn{path}")
    return 0 if found else 1


def _real(mac: Machine, args: list[str]) -> int:
    """On a Mac as workstation: its lsof, limited to this Mac's processes."""
    import subprocess

    pids = ",".join(map(str, processes.of_mac(mac.folder))) or "0"
    return subprocess.run([workstation("lsof") or "lsof", "-a", "-p", pids, *args]).returncode


def _rows(mac: Machine, options: Options) -> Iterator[tuple[int, str]]:
    """(pid, line) for each matching socket of the Mac's processes."""
    wanted, _, ports = (options.internet or "").partition(":")
    wanted, _, host = wanted.partition("@")
    version = wanted.upper().removesuffix("TCP")
    if version not in ("", "4", "6") or ports.strip("0123456789,-"):
        return
    state = (options.states or "").removeprefix("TCP:")
    names = {process.pid: process.name for process in table(mac)}
    held = list(_descriptors(names))
    known = {
        entry.inode: entry
        for entry in _sockets({inode for _, _, inode in held}, state == "LISTEN")
        if (not version or entry.version == int(version))
        and (not host or host in (entry.here[0], entry.there[0]))
        and (not ports or _within(entry.here[1], ports) or _within(entry.there[1], ports))
        and (not state or STATES.get(entry.state) == state)
    }
    for pid, descriptor, inode in held:
        if inode not in known or (options.pid is not None and pid not in options.pid):
            continue
        entry = known[inode]
        name = _name(entry.here, options)
        if entry.state != LISTEN:
            name += f"->{_name(entry.there, options)}"
        yield (
            pid,
            f"{names[pid][:9]:<9} {pid:>5} {USER:>6} {descriptor:>4}u  IPv{entry.version}"
            f" 0x{int(inode):016x}      0t0  TCP {name} ({STATES.get(entry.state, entry.state)})",
        )


def _within(port: int, ports: str) -> bool:
    for part in ports.split(","):
        low, _, high = part.partition("-")
        if int(low) <= port <= int(high or low):
            return True
    return False


def _sockets(inodes: set[str], listening: bool) -> Iterator[Socket]:
    for version, file in ((4, "/proc/net/tcp"), (6, "/proc/net/tcp6")):
        if not os.path.exists(file):
            continue
        with open(file) as lines:
            next(lines)
            for line in lines:
                words = line.split()
                if listening and words[3] != LISTEN:
                    break  # they come first, and thousands of connections behind them
                if words[9] in inodes:  # most are nobody's any more
                    yield Socket(version, words)


def _address(text: str) -> tuple[str, int]:
    """/proc writes addresses as hexadecimal words in host byte order."""
    host, _, port = text.partition(":")
    raw = b"".join(
        int(host[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(host), 8)
    )
    family = _socket.AF_INET if len(raw) == 4 else _socket.AF_INET6
    return _socket.inet_ntop(family, raw), int(port, 16)


def _name(address: tuple[str, int], options: Options) -> str:
    host, port = address
    if host in ("0.0.0.0", "::"):
        shown = "*"
    elif not options.addresses and host in ("127.0.0.1", "::1"):
        shown = "localhost"
    else:
        shown = f"[{host}]" if ":" in host else host
    if not options.ports:
        try:
            return f"{shown}:{_socket.getservbyport(port, 'tcp')}"
        except OSError:
            pass
    return f"{shown}:{port}"


def _descriptors(pids: dict[int, str]) -> Iterator[tuple[int, int, str]]:
    for pid in sorted(pids):
        try:
            descriptors = os.listdir(f"/proc/{pid}/fd")
        except OSError:  # gone meanwhile
            continue
        for descriptor in descriptors:
            try:
                target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
            except OSError:
                continue
            if target.startswith("socket:["):
                yield pid, int(descriptor), target[8:-1]
