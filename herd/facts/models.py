"""What is below the directory of all models: files, receipts, and the room beside them."""

import json
import re
from collections.abc import Iterable

from pyinfra.api import FactProcessError, StringCommand

from herd.core.models.missing_files import Holdings, Receipt, Stat
from herd.facts.fact import Fact
from herd.facts.script import script

_FILE = re.compile(r"(\d+) (\S+) (\d+) \./(.+)")
# The path may hold anything, what follows it no colon.
_RECEIPT = re.compile(
    r"\./([^/]+)/\.herd/(.+)\.receipt:([0-9a-f]{64}|-) (\d+) (\S+) (\d+) ([a-z]+)"
)
_PIECES = re.compile(r"\./([^/]+)/\.herd/(.+\.[0-9a-f]{12})\.pieces:(\{.*\})")
# df -P: Filesystem 1024-blocks Used Available Capacity Mounted-on
_DISK = re.compile(r".*?\s\d+\s+\d+\s+(-?\d+)\s+\d+%")


def parse(lines: Iterable[str]) -> Holdings:
    """The answer of scripts/look/models.sh. Raises FactProcessError when it is no answer."""
    files, receipts, begun, free = {}, {}, {}, None
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind == "file" and (match := _FILE.fullmatch(rest)):
            size, mtime, inode, path = match.groups()
            files[path] = Stat(int(size), mtime, inode)
        elif kind == "receipt":
            # One that was not written whole vouches for nothing.
            if match := _RECEIPT.fullmatch(rest):
                directory, path, sha256, size, mtime, inode, origin = match.groups()
                stat = Stat(int(size), mtime, inode)
                receipts[f"{directory}/{path}"] = Receipt(sha256, stat, origin)
        elif kind == "pieces":
            if match := _PIECES.fullmatch(rest):
                directory, path, journal = match.groups()
                begun[f"{directory}/{path}.part"] = _have(journal)
        elif kind == "disk" and (match := _DISK.match(rest)):
            free = int(match[1]) * 1024
        else:
            raise FactProcessError(f"not what models.sh says: {line!r}")
    return Holdings(files, receipts, begun, free)


def _have(journal: str) -> int:
    """Bytes that a transfer's journal (fetcher/pieces.py) says are there; 0 of a broken one."""
    try:
        have = json.loads(journal)["have"]
    except (ValueError, KeyError, TypeError):
        return 0
    return have if type(have) is int and have > 0 else 0


class Models(Fact[Holdings]):
    """Paths are relative to the directory; free is None for a Mac that did not say.

    An unfinished file of `hf download` is left out while it may still be written.
    """

    default = Holdings

    def command(self, directory: str) -> StringCommand:
        return script("models", directory)

    def process(self, output: Iterable[str]) -> Holdings:
        return parse(output)
