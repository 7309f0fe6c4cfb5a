"""What kind of Mac it is, and who is logged in on it."""

import re
from collections.abc import Iterable

from pyinfra.api import FactBase, FactProcessError, StringCommand

from herd.core.mac import Identity
from herd.core.units import MIB
from herd.facts.script import script


def parse(lines: Iterable[str]) -> Identity:
    """The answer of scripts/mac.sh. Raises FactProcessError when it is no answer."""
    pairs = [line.split("\t", 1) for line in lines if "\t" in line]
    values = dict(pairs)
    try:
        # df -P: Filesystem 1024-blocks Used Available Capacity Mounted-on
        disk = re.search(r"\s(\d+)\s+(\d+)\s+(-?\d+)\s+\d+%", values["disk"])
        return Identity(
            uid=int(values["uid"]),
            user=values["user"],
            home=values["home"].rstrip("/"),
            system=values["system"],
            arch=values["arch"],
            macos=tuple(int(part) for part in re.findall(r"\d+", values["macos"])),
            chip=values["chip"],
            memory=int(values["memory"] or 0),
            command_line_tools="tools" in values,
            console="console" in values,
            brew="brew" in values,
            sudo=None if "brew" in values else "sudo" in values,
            writable="writable" in values,
            disk_free=int(disk[3]) * 1024 if disk else 0,
            wired_limit=int(values["wired"]) * MIB if values.get("wired") else None,
            gpu_memory=_gpu_memory(text for key, text in pairs if key == "device"),
        )
    except (KeyError, ValueError) as error:
        raise FactProcessError(f"the Mac did not say what it is: {error!r}") from error


def _gpu_memory(devices: Iterable[str]) -> int | None:
    """Of Metal's device among those of `llama-server --list-devices`, which has others, too:
    "MTL0: Apple M4 Max (110100 MiB, 110100 MiB free)", "BLAS: Accelerate (0 MiB, 0 MiB free)"."""
    found = (re.match(r"\s*(?:MTL|Metal)\d*: .*\((\d+) MiB, \d+ MiB free\)", d) for d in devices)
    return max((int(match[1]) * MIB for match in found if match), default=None)


class Mac(FactBase[Identity]):
    """One compound question, as each remote command costs a round trip."""

    def command(self, root: str, homebrew_prefix: str) -> StringCommand:
        return script("mac", root, homebrew_prefix)

    def process(self, output: Iterable[str]) -> Identity:
        return parse(output)
