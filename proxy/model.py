"""Finds the `model` that llama-swap will see, in as little of a request as possible. Pure.

llama-swap (gjson) takes the first `model` of the outermost object, or the form field or query. To
let it pass for what it is, whatever could be read in two ways is no model at all: None, which no
key with a list of models gets past.
"""

import json
import re
from collections.abc import Generator
from urllib.parse import parse_qsl

from proxy.multipart import boundary_of, walk
from proxy.walker import Steps, Walker

LONGEST_NAME = 512
LONGEST_FORM = 2**20


def search_for(method: str, query: str, content_types: list[str]) -> Walker | None:
    """How to search the body of a request; None if the body does not count."""
    if method == "GET" or len(content_types) != 1:
        return None
    kind = content_types[0]
    if "application/json" in kind:
        return Walker(_json)
    if in_query(query) or "model" in query or "%" in query:
        return None  # a form's field or the query: it depends on the form
    if "multipart/form-data" in kind:
        boundary = boundary_of(kind)
        return Walker(lambda walker: walk(walker, boundary)) if boundary else None
    if kind.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        return Walker(_form)
    return None


def in_query(query: str) -> str | None:
    """The model that a query names, if it names one only."""
    if "model" not in query and "%" not in query:
        return None
    if ";" in query or re.search("%(?![0-9A-Fa-f]{2})", query):
        return None  # Go leaves such a pair out, others do not
    found = [value for name, value in parse_qsl(query, keep_blank_values=True) if name == "model"]
    return found[0] or None if len(found) == 1 else None


def at_first_sight(method: str, query: str, content_types: list[str], data: bytes) -> str | None:
    """Most clients post JSON with a plain `model` at its beginning: one look then, and no walk."""
    if method != "POST" or query or len(content_types) != 1:
        return None
    if "application/json" not in content_types[0]:
        return None
    found = _FIRST.match(data)
    return found[1].decode() if found else None


_FIRST = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"model"[ \t\r\n]*:[ \t\r\n]*"([ !#-\[\]-~]{1,512})"')
_SPACE = re.compile(rb"[ \t\r\n]*")
_PLAIN = re.compile(rb"[ \t\r\n,:0-9+\-.eEtrufalsn]*")  # all that is outside of strings, brackets
_SCALAR = re.compile(rb"[0-9+\-.eEtrufalsn]*")
_IN_STRING = re.compile(rb"[\"\\]")
_OPEN, _CLOSE = frozenset(b"{["), frozenset(b"}]")  # sets: the end of a body is -1


def _json(walker: Walker) -> Steps:
    """Over the keys of the outermost object, stepping over values, up to `model`."""
    at = yield from _space(walker, 0)
    if (yield from walker.byte(at)) != ord("{"):
        return None
    while True:
        at = yield from _space(walker, at + 1)
        if (yield from walker.byte(at)) != ord('"'):
            return None  # the end of the object, or no JSON
        start, at = at, (yield from _string(walker, at + 1))
        key = _text(walker, start, at)
        at = yield from _space(walker, at)
        if key is None or (yield from walker.byte(at)) != ord(":"):
            return None
        at = yield from _space(walker, at + 1)
        if key == "model":
            if (yield from walker.byte(at)) != ord('"'):
                return None
            start, at = at, (yield from _string(walker, at + 1))
            return _text(walker, start, at)
        at = yield from _value(walker, at)
        at = yield from _space(walker, at)
        if at < 0 or (yield from walker.byte(at)) != ord(","):
            return None


def _space(walker: Walker, at: int) -> Generator[None, None, int]:
    return (yield from _run(walker, _SPACE, at))


def _run(walker: Walker, run: re.Pattern[bytes], at: int) -> Generator[None, None, int]:
    while True:
        found = run.match(walker.buffer, at)
        at = found.end() if found else at
        if at < len(walker.buffer) or walker.complete:
            return at
        yield


def _string(walker: Walker, at: int) -> Generator[None, None, int]:
    """Behind the quote that ends a string; behind all there is if none does."""
    while True:
        found = _IN_STRING.search(walker.buffer, at)
        if found is None:
            at = max(at, len(walker.buffer))
            if walker.complete:
                return at + 1
            yield
        elif walker.buffer[found.start()] == ord('"'):
            return found.end()
        else:
            at = found.end() + 1  # whatever is escaped is not the end


def _value(walker: Walker, at: int) -> Generator[None, None, int]:
    """Behind a value; -1 if it is none. Only brackets are counted, not what is between them."""
    first = yield from walker.byte(at)
    if first == ord('"'):
        return (yield from _string(walker, at + 1))
    if first not in _OPEN:
        end = yield from _run(walker, _SCALAR, at)
        return end if end > at else -1
    depth = 0
    while True:
        at = yield from _run(walker, _PLAIN, at)
        byte = yield from walker.byte(at)
        at += 1
        if byte == ord('"'):
            at = yield from _string(walker, at)
        elif byte in _OPEN:
            depth += 1
        elif byte in _CLOSE:
            depth -= 1
            if depth == 0:
                return at
        else:
            return -1


def _text(walker: Walker, start: int, end: int) -> str | None:
    """A JSON string's text; None if it is long, or not a string for everyone."""
    if end - start > LONGEST_NAME:
        return None if end > len(walker.buffer) else ""
    try:
        text = json.loads(bytes(walker.buffer[start:end]))
        text.encode()
    except (ValueError, AttributeError):  # UnicodeError is a ValueError
        return None
    found: str = text
    return found


def _form(walker: Walker) -> Steps:
    """All of it, since the order of fields means nothing."""
    while not walker.complete:
        if len(walker.buffer) > LONGEST_FORM:
            return None
        yield
    try:
        return in_query(walker.buffer.decode())
    except UnicodeDecodeError:
        return None
