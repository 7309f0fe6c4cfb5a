"""What another Mac says that it has, read as what a stranger says; pure.

{"data": [{"sha256": HEX, "size": BYTES, "have": BYTES}]}: anything that this does not mean exactly
is refused as a whole, so no later line need doubt what it reads.
"""

import json
import re
from typing import Any

LARGEST = 1 << 20
"""Bytes of a list: some 8,000 files, which are read in hundredths of a second."""

_SHA256 = re.compile("[0-9a-f]{64}")


def parse(text: bytes) -> dict[str, tuple[int, int]]:
    """Bytes that are there and in all, by SHA-256. Raises ValueError for any other answer."""
    if len(text) > LARGEST:
        raise ValueError("no list of files is so long")
    try:
        data = json.loads(text.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deep") from None
    entries = data.get("data") if isinstance(data, dict) else None
    if not isinstance(entries, list):
        raise ValueError("no list of files")
    return _once([_entry(entry) for entry in entries])


def _entry(entry: Any) -> tuple[str, tuple[int, int]]:
    if not isinstance(entry, dict):
        raise ValueError("no file")
    sha256, size, have = (entry.get(name) for name in ("sha256", "size", "have"))
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise ValueError("no SHA-256")
    # A bool is an int to Python; 1e3 is a float to JSON.
    if type(size) is not int or type(have) is not int or not 0 <= have <= size < 2**63:
        raise ValueError("no sizes")
    return sha256, (have, size)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("said twice")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
