"""Which part of a file is asked for (RFC 9110, 14). Pure."""

import re
from collections.abc import Sequence

_ONE_RANGE = re.compile(r"bytes=[ \t]*(?:([0-9]+)-([0-9]*)|-([0-9]+))[ \t]*", re.IGNORECASE)
_FURTHER_THAN_ANY = 2**63


class NotThere(ValueError):
    """A range that begins behind the end."""


def part_of(size: int, ranges: Sequence[str], conditions: Sequence[str], tag: str) -> range | None:
    """The bytes that the headers `Range` ask for; None is all of the file.

    `conditions` are those of `If-Range`: only of the very content with this tag is a part of use.
    All of it also goes to who asks for several ranges, for another unit, or for what is no range:
    the RFC allows that, and clients have to reckon with it. Raises NotThere.
    """
    if len(ranges) != 1 or (conditions and list(conditions) != [tag]):
        return None
    found = _ONE_RANGE.fullmatch(ranges[0])
    if found is None:
        return None
    first, last, suffix = (None if text is None else _number(text) for text in found.groups())
    if first is None:
        first, last = max(0, size - (suffix or 0)), None
    elif last is not None and last < first:
        return None
    if first >= size:
        raise NotThere
    return range(first, size if last is None else min(last + 1, size))


def _number(text: str) -> int | None:
    """None for an open end. Python reads no numbers of more than 4300 digits."""
    if not text:
        return None
    return int(text) if len(text) < 19 else _FURTHER_THAN_ANY
