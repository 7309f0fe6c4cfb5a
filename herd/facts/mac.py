"""What kind of Mac it is, and who is logged in on it."""

import re
from collections.abc import Iterable, Iterator, Sequence

from pyinfra.api import FactProcessError, StringCommand

from herd.core.mac.mac import Folder, Identity
from herd.core.mac.volumes import Place
from herd.core.text.quoting import complaint, elided
from herd.core.text.units import MIB
from herd.facts.fact import Fact
from herd.facts.script import script


def parse(lines: Iterable[str]) -> Identity:
    """The answer of scripts/look/mac.sh. Raises FactProcessError when it is no answer."""
    pairs = [line.split("\t", 1) for line in lines if "\t" in line]
    values = dict(pairs)
    devices = [text for key, text in pairs if key == "device"]
    try:
        # df -P: Filesystem 1024-blocks Used Available Capacity Mounted-on
        disk = re.search(r"\s(\d+)\s+(\d+)\s+(-?\d+)\s+\d+%", values["disk"])
        return Identity(
            uid=_number(values["uid"], 2**32),
            user=_plain(values["user"]),
            home=_path(values["home"].rstrip("/")),
            system=values["system"],
            arch=values["arch"],
            macos=tuple(int(part) for part in re.findall(r"\d+", values["macos"])),
            chip=values["chip"],
            memory=_number(values["memory"] or "0", 2**50),
            command_line_tools="tools" in values,
            console="console" in values,
            brew="brew" in values,
            sudo=None if "brew" in values else "sudo" in values,
            writable="writable" in values,
            disk_free=int(disk[3]) * 1024 if disk else 0,
            wired_limit=_number(values["wired"], 2**30) * MIB if values.get("wired") else None,
            gpu_memory=_gpu_memory(devices),
            server_fault=_server_fault(values.get("devices"), devices),
            sleep=_number(values.get("sleep") or "0", 2**20),
            places=tuple(_places(pairs)),
            folders=tuple(dict.fromkeys(folder(text) for key, text in pairs if key == "folder")),
        )
    except (KeyError, ValueError) as error:
        raise FactProcessError(f"the Mac did not say what it is: {error!r}") from error


def _number(text: str, most: int) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 20 or int(text) > most:
        raise ValueError(f"no number of this kind: {text!r}")
    return int(text)


def _plain(text: str) -> str:
    if wrong := complaint(text, llama_swap=False):
        raise ValueError(wrong)
    return text


def _path(text: str) -> str:
    """One that goes into files and commands of this Mac as it is."""
    if not text.startswith("/") or {"..", "."} & set(text.split("/")):
        raise ValueError(f"no home directory: {text!r}")
    return _plain(text)


def folder(text: str) -> Folder:
    """One line of `stat -f '%Mp%Lp %u %g %Su %N'`, or of GNU's in that form.
    Raises ValueError when it is none."""
    mode, uid, gid, owner, path = text.split(" ", 4)
    if not re.fullmatch("[0-7]{3,5}", mode):
        raise ValueError(f"no mode: {mode!r}")
    return Folder(_plain(path), mode, _number(uid, 2**32), _number(gid, 2**32), owner)


# df -P: Filesystem 1024-blocks Used Available Capacity Mounted-on; the first may hold blanks.
_ON = re.compile(r".*?\s\d+\s+\d+\s+-?\d+\s+\d+%\s+(/.*)")
# mount(8): "/dev/disk5s1 on /Volumes/Fast (exfat, local, nodev, nosuid)".
_MOUNT = re.compile(r".+? on (/.*) \(([\w.]+)[,)].*")


def _places(pairs: Iterable[Sequence[str]]) -> Iterator[Place]:
    """Of triples of lines: what it is called, where it leads, and df's about it."""
    pairs = list(pairs)
    matches = (_MOUNT.fullmatch(text) for key, text in pairs if key == "mount")
    kinds = {match[1]: match[2] for match in matches if match}
    name = path = ""
    for key, text in pairs:
        if key == "place":
            name = text.lstrip("/")
        elif key == "path":
            path = text
        elif key == "on" and (match := _ON.fullmatch(text)):
            yield Place(name, path, match[1], kinds.get(match[1], ""))


def _gpu_memory(devices: Iterable[str]) -> int | None:
    """Of Metal's device among those of `llama-server --list-devices`, which has others, too:
    "MTL0: Apple M4 Max (110100 MiB, 110100 MiB free)", "BLAS: Accelerate (0 MiB, 0 MiB free)"."""
    found = (re.match(r"\s*(?:MTL|Metal)\d*: .*\((\d+) MiB, \d+ MiB free\)", d) for d in devices)
    return max((int(match[1]) * MIB for match in found if match), default=None)


# What ends a program before it is one (dyld(1)), what ggml says when it has nothing to compute
# with, and what a shell says of a program that it cannot start.
_DYING = re.compile(r"dyld\[\d+\]|no backends|Bad CPU type|cannot execute|[Kk]illed|[Aa]bort")


def _server_fault(code: str | None, said: Sequence[str]) -> str | None:
    """Why llama-server cannot run, by its exit code and words; a build that does not know
    `--list-devices` only says so (1)."""
    if code is None:
        return None
    lines = [line.strip() for line in said if line.strip()]
    told = next((line for line in lines if _DYING.search(line)), lines[-1] if lines else "")
    status = _number(code, 255)
    if status >= 126:
        how = f"signal {status - 128}" if status > 128 else f"exit code {status}"
        return f"{elided(told, 300)} ({how})" if told else how
    if any("no backends" in line for line in lines):
        return elided(told, 300)
    if lines[-1:] in (["Available devices:"], ["(none)"]):
        return "no device to compute on: it finds no backend of ggml"
    return None


class Mac(Fact[Identity]):
    """One compound question, as each remote command costs a round trip."""

    def command(self, root: str, homebrew_prefix: str) -> StringCommand:
        return script("mac", root, homebrew_prefix)

    def process(self, output: Iterable[str]) -> Identity:
        return parse(output)
