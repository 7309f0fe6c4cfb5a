"""Finds the field `model` of a multipart form, stepping over files that come before it. Pure.

Only the plain way of writing a form is read, which is what every client does. Anything that Go's
reader may take differently (encoded names, transfer encodings, odd delimiters) ends the search.
"""

import re

from proxy.walker import Steps, Walker

LONGEST_HEAD = 4096
LONGEST_NAME = 512

_BOUNDARY = re.compile(
    r'multipart/form-data;\s*boundary=(?:"([^"\\]{1,70})"|([^\s";,]{1,70}))\s*\Z'
)
_DISPOSITION = re.compile(
    r'form-data; ?name="([^"\\]*)"(; ?filename="((?:[^"\\]|\\.)*)")?'
    r"(?(2)(?:; ?filename\*=[^\s;\"]*)?)\Z",
    re.IGNORECASE,
)


def boundary_of(content_type: str) -> bytes | None:
    """What separates the fields."""
    found = _BOUNDARY.match(content_type)
    return (found[1] or found[2]).encode() if found else None


def walk(walker: Walker, boundary: bytes) -> Steps:
    """From part to part, up to the one that is `model`."""
    mark = b"--" + boundary + b"\r\n"
    yield from walker.byte(len(mark) - 1)
    if not walker.buffer.startswith(mark):
        return None
    at = len(mark)
    mark = b"\r\n--" + boundary
    while True:
        end = yield from walker.find(b"\r\n\r\n", at)
        if end < 0 or end - at > LONGEST_HEAD:
            return None
        name = _plain_name(bytes(walker.buffer[at:end]))
        if name is None:
            return None
        start = end + 4
        # From the head's own line end on: an empty part has none of its own for Go.
        end = yield from walker.find(mark, end + 2)
        behind = yield from walker.byte(end + len(mark) + 1)
        if end < start or behind < 0:
            return None
        at = end + len(mark) + 2
        last = bytes(walker.buffer[at - 2 : at])
        if last not in (b"\r\n", b"--"):
            return None  # a delimiter that not everyone takes for one
        if name == "model":
            return _value(bytes(walker.buffer[start:end]))
        if last == b"--":
            return None


def _plain_name(head: bytes) -> str | None:
    """The name of a field, "" for a file or a field without one; None if it is in doubt."""
    name = None
    for line in head.split(b"\r\n"):
        header, colon, value = line.partition(b":")
        header = header.lower()
        if not colon or header.strip() != header or header == b"content-transfer-encoding":
            return None
        if header == b"content-disposition":
            try:
                found = _DISPOSITION.match(value.decode().strip())
            except UnicodeDecodeError:
                return None
            if found is None or name is not None:
                return None
            name = "" if found[2] else found[1]
    return name


def _value(content: bytes) -> str | None:
    if len(content) > LONGEST_NAME:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None
