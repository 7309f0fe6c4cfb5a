"""Where a body names media by a URL. Pure.

A vision model's llama-server fetches `image_url` by itself, from wherever it is told to: another
Mac's pages, a router's, or its own llama-swap's. So what comes from a key that may not have these
is only let up if it has the image in it, as `data:`.

The body passes as it comes, and is looked at as it passes. It is JSON to whoever reads it, where a
quote within a string is escaped: `"url"` with a colon behind it is a member's name wherever it
stands, and no text. Whether it belongs to an image is not asked, so a name that llama-server may
learn to follow is no way around. Only what a tool was called with, the `input` of Anthropic's
messages, is stepped over: agents that read the web have URLs there, and llama-server makes it text.

llama-server fetches what begins with `http`, and takes as its host what follows the first `@`,
wherever that stands (llama.cpp's common/http.h). So what others would read as a URL is one, with
letters in it that show as nothing, too; and one that may go up is plain, and all there.
"""

import json
import re
from collections.abc import Sequence

# Of OpenAI's parts (`image_url` with its `url`, or alone as in Responses), Anthropic's `source`,
# and the names of sound and video in llama-server.
NAMES = ("url", "image_url", "audio_url", "video_url", "file_url", "data")
ENOUGH = 1024
"""Bytes of a value, escapes included, that say where it leads."""

_PLAIN = "|".join(NAMES).encode()
_LETTER = rb"(?:[a-z_]|\\u00[0-9A-Fa-f]{2})"
_NAME = (
    rb'"(' + _PLAIN + rb"|(?:[a-z_]{0,8}\\u00[0-9A-Fa-f]{2})" + _LETTER + rb'{0,8})"'
)  # as it is, or with escapes in it
_WS = rb"[ \t\r\n]*+"
_VALUE = rb'"((?:[^"\\]|\\(?:u[0-9A-Fa-f]{4}|[^u])){0,%d}+)' % ENOUGH
_FOUND = _NAME + _WS + rb":" + _WS + _VALUE + rb'("?)'
_MEMBER = re.compile(_FOUND)
# No string can end in `"input": {`, so the brace is one.
_MEMBER_OR_CALL = re.compile(_FOUND + rb'|"input"' + _WS + rb":" + _WS + rb"\{")
_NO_BRACKETS = rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+'
_BRACKET = re.compile(_NO_BRACKETS + rb"([{}\[\]])", re.DOTALL)
_BETWEEN = re.compile(_NO_BRACKETS, re.DOTALL)
_IN_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
# What may be the beginning of one, at the end of what has come.
_BEGUN = re.compile(_NAME + rb"(" + _WS + rb"(?::" + _WS + rb'(?:"(?:[^"\\]|\\.)*+\\?+)?)?)\Z')
_ESCAPE = len(r"\u0000")
_LONGEST_NAME = _ESCAPE * 9 + 2
_SCHEME = re.compile(r"[a-z][a-z0-9+.\-]*:|//|\\\\", re.IGNORECASE)
_FETCHED = re.compile(r"(?:https?|file):", re.IGNORECASE)
_PLAIN_URL = r"[!-?A-\[\]-~]*"
"""No `@`, behind which llama-server looks for the host, and no backslash."""


class Inspection:
    """Of one body, piece by piece; `allowed` are beginnings of URLs that may go up. With `calls`
    an object named `input` is what a tool was called with."""

    __slots__ = ("_allowed", "_depth", "_held", "_quoted", "_search")

    def __init__(self, allowed: Sequence[str] = (), *, calls: bool = False) -> None:
        self._allowed = tuple(allowed)
        self._search = (_MEMBER_OR_CALL if calls else _MEMBER).search
        self._held = b""  # a member that is not all there
        self._depth = 0  # of brackets in a tool's input
        self._quoted = False  # within a string there

    def feed(self, data: bytes) -> str | None:
        """The name of a member with a URL in this piece that may not go up."""
        data = self._held + data if self._held else data
        self._held = b""
        at = self._behind_call(data, 0)
        while not self._depth and (found := self._search(data, at)):
            name, value, closed = found.groups()
            if name is None:
                self._depth = 1
                at = self._behind_call(data, found.end())
                continue
            if not closed and len(value) < ENOUGH and len(data) - found.end() < _ESCAPE:
                break  # more of it comes
            if (plain := _text(name)) in NAMES and not self._may_pass(_text(value), bool(closed)):
                return plain
            at = found.end()
        self._held = data[at:] if self._depth else _rest(data, at)
        return None

    def _behind_call(self, data: bytes, at: int) -> int:
        """Behind a tool's input, or as far as there is of it."""
        if self._depth and self._quoted:
            at = _end(_IN_STRING, data, at)
            if data[at : at + 1] != b'"':
                return at  # the end, or a backslash whose character is still to come
            self._quoted = False
            at += 1
        while self._depth:
            found = _BRACKET.match(data, at)
            if found is None:
                at = _end(_BETWEEN, data, at)
                if at < len(data):  # a string that is not all there
                    self._quoted = True
                    at = _end(_IN_STRING, data, at + 1)
                break
            self._depth += 1 if found[1] in b"{[" else -1
            at = found.end()
        return at

    def _may_pass(self, value: str, whole: bool) -> bool:
        """Whether a value, or its beginning, leads nowhere, holds what it is about, or leads where
        it may."""
        if value.startswith("data:"):
            return True
        if whole and value.startswith(self._allowed or "\0"):
            return re.fullmatch(_PLAIN_URL, value) is not None
        return not _leads(value, whole)


def _rest(data: bytes, at: int) -> bytes:
    """What is needed of the data when more comes; white space may be of any length."""
    if begun := _BEGUN.search(data, at):
        name, behind = begun.groups()
        colon, _, value = behind.partition(b'"')
        quote = b'"' if b'"' in behind else b""
        return b'"%b"%b%b%b' % (name, colon.strip(), quote, value)
    return data[max(at, len(data) - _LONGEST_NAME) :]


def _leads(value: str, whole: bool) -> bool:
    """Whether somebody could read this as a URL: programs step over what shows as nothing, at the
    beginning or anywhere."""
    seen = shown = value.lstrip()
    if not value.isprintable():
        seen = "".join(one for one in value if one.isprintable() or one.isspace()).lstrip()
        shown = "".join(one for one in seen if one.isprintable())
    if not seen:
        return not whole  # what comes behind so much of nothing?
    return bool(_SCHEME.match(seen) or _FETCHED.match(shown))


def _end(run: re.Pattern[bytes], data: bytes, at: int) -> int:
    """Of what may be empty."""
    found = run.match(data, at)
    return found.end() if found else at


_decode = json.JSONDecoder(strict=False).decode  # json.loads makes one for each call


def _text(raw: bytes) -> str:
    """A string, or its beginning, without escapes."""
    text = raw.decode(errors="replace")
    try:
        return str(_decode(f'"{text}"')) if "\\" in text else text
    except ValueError:
        return text


def faults_of_prefixes(prefixes: object) -> list[str]:
    """What is wrong with a list of beginnings of URLs. Each has all of a host, with the slash
    behind it: else it would be that of others, too."""
    good = re.compile(r"https?://[a-z0-9.\-]+(?::\d{1,5})?/" + _PLAIN_URL)
    if isinstance(prefixes, list) and all(
        isinstance(p, str) and good.fullmatch(p) for p in prefixes
    ):
        return []
    return ['"allowImageUrls" must be a list of beginnings as "https://images.example.com/"']
