"""What kind of Mac it is, and who is logged in on it."""

import re
from collections.abc import Iterable

from pyinfra.api import FactProcessError, StringCommand

from herd.core.mac.mac import Folder, Identity
from herd.core.text.quoting import complaint
from herd.core.text.units import MIB
from herd.facts.fact import Fact
from herd.facts.script import script


def parse(lines: Iterable[str]) -> Identity:
    """The answer of scripts/look/mac.sh. Raises FactProcessError when it is no answer."""
    pairs = [line.split("\t", 1) for line in lines if "\t" in line]
    values = dict(pairs)
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
            gpu_memory=_gpu_memory(text for key, text in pairs if key == "device"),
            folders=tuple(dict.fromkeys(_folder(text) for key, text in pairs if key == "folder")),
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


def _folder(text: str) -> Folder:
    mode, uid, gid, owner, path = text.split(" ", 4)
    if not re.fullmatch("[0-7]{3,5}", mode):
        raise ValueError(f"no mode: {mode!r}")
    return Folder(_plain(path), mode, _number(uid, 2**32), _number(gid, 2**32), owner)


def _gpu_memory(devices: Iterable[str]) -> int | None:
    """Of Metal's device among those of `llama-server --list-devices`, which has others, too:
    "MTL0: Apple M4 Max (110100 MiB, 110100 MiB free)", "BLAS: Accelerate (0 MiB, 0 MiB free)"."""
    found = (re.match(r"\s*(?:MTL|Metal)\d*: .*\((\d+) MiB, \d+ MiB free\)", d) for d in devices)
    return max((int(match[1]) * MIB for match in found if match), default=None)


class Mac(Fact[Identity]):
    """One compound question, as each remote command costs a round trip."""

    def command(self, root: str, homebrew_prefix: str) -> StringCommand:
        return script("mac", root, homebrew_prefix)

    def process(self, output: Iterable[str]) -> Identity:
        return parse(output)
