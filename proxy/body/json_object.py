"""Reads a JSON object strictly (RFC 8259), piece by piece, for its one `model`. Pure.

llama-swap takes the first `model` of anything that looks like an object, llama-server the last one
of an object. Here there is one, in an object without a fault, and it goes up before all else,
written plainly. What comes behind it is read as strictly as it passes; a fault there comes before
the end of the body has gone up, and without its end llama-swap reads none of it.

Most of the work is done by regular expressions on pieces of bounded size, in which no quantifier
gives anything back: their time is bounded by the size. What they do not match as a whole, because
it is nested deeply or not all there, is taken apart token by token.
"""

import json
import re
from collections.abc import Generator

from proxy.body.body_reader import LONGEST_NAME, At, Body, Steps, checked
from proxy.http.refusal import Refused, bad, no_model

DEEPEST = 512
LONGEST_NUMBER = 400
"""Digits in a row; what is longer means nothing to anybody."""
TURN = 32
"""Tokens between two offers to give others their turn."""

_WS = rb"[ \t\r\n]*+"
_CHARS = rb'[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})[^"\\\x00-\x1f]*+)*+'
_STRING = rb'"' + _CHARS + rb'"'
_NUMBER = rb"-?(?:0|[1-9][0-9]{0,399}+)(?:\.[0-9]{1,400}+)?+(?:[eE][+\-]?[0-9]{1,400}+)?+"
_SCALAR = rb"(?:" + _STRING + rb"|(?:" + _NUMBER + rb"|true|false|null)(?=[ \t\r\n,\]}]))"
# Neither `model` nor a spelling of it with escapes.
_OTHER = rb'"(?!model")[^"\\\x00-\x1f]*+"'
_COLON = _WS + rb":" + _WS


def _nested(depth: int) -> bytes:
    """A value with up to so many levels of brackets in it."""
    value = _SCALAR
    for _ in range(depth):
        member = _STRING + _COLON + value
        value = rb"(?:" + b"|".join((_SCALAR, _all(rb"\[", value), _all(rb"\{", member))) + rb")"
    return value


def _all(opened: bytes, item: bytes) -> bytes:
    """A whole array or object: behind each comma there is another item."""
    closed = {rb"\[": rb"\]", rb"\{": rb"\}"}[opened]
    rest = rb"(?:," + _WS + rb"(?!" + closed + rb")|(?=" + closed + rb"))"
    return opened + _WS + rb"(?:" + item + _WS + rest + rb")*+" + closed


_VALUE = _nested(3)
_SEPARATED = _WS + rb"," + _WS
_ITEMS = re.compile(rb"(?:" + _VALUE + _SEPARATED + rb")*+")
_MEMBERS = re.compile(rb"(?:" + _STRING + _COLON + _VALUE + _SEPARATED + rb")*+")
_OUTERMOST = re.compile(rb"(?:" + _OTHER + _COLON + _VALUE + _SEPARATED + rb")*+")
_SPACE = re.compile(_WS)
_IN_STRING = re.compile(_CHARS)
_TOKEN = re.compile(rb"(?:" + _NUMBER + rb"|true|false|null)(?=[ \t\r\n,\]}])")
_OF_TOKEN = re.compile(rb"[0-9A-Za-z+\-.]*+")
_KEY = re.compile(_STRING)
_MODEL = re.compile(_STRING + _COLON)
# A small and whole body: members of any other name, `model`, and members again up to the bracket.
_OPENED = re.compile(rb"\{" + _WS)
_OTHERS = re.compile(
    rb"(?:" + _OTHER + _COLON + _nested(4) + _WS + rb"(?:," + _WS + rb"(?!\})|(?=\})))*+"
)
_NAMED = re.compile(
    rb'"model"' + _COLON + rb'"([ !#-\[\]-~]{1,512})"' + _WS + rb"()(?:," + _WS + rb'(?=")|(?=\}))'
)
_CLOSED = re.compile(rb"\}[ \t\r\n]*+\Z")

_OBJECT, _QUOTE, _COMMA, _COLON_BYTE = b'{",:'
_CLOSING = {_OBJECT: ord("}"), ord("["): ord("]")}
_RUNS = {_OBJECT: _MEMBERS, ord("["): _ITEMS}
_LONGEST_SPELLING = len('"' + r"\u006d" * 5 + '"')  # of `model`
_LONGEST_MODEL = 6 * LONGEST_NAME + 64
_ESCAPE = re.compile(rb"\\(?:u[0-9A-Fa-f]{0,3})?")  # the beginning of one


def at_first_sight(data: bytes) -> tuple[str, bytes] | None:
    """The model of a small and whole body, and what goes up: one look, and no walk."""
    opened = _OPENED.match(data)
    if opened is None:
        return None
    begin = _end(_OTHERS, data, opened.end())
    named = _NAMED.match(data, begin)
    if named is None:
        return None
    end = _end(_OTHERS, data, named.end())
    if not _CLOSED.match(data, end):
        return None
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError:
            return None
    before, model, behind = data[1:begin], named[1], data[named.start(2) : end + 1]
    if before:
        before = before.rstrip()[:-1].lstrip()
        data = b"".join((b'{"model":"', model, b'",' if before else b'"', before, behind))
    return model.decode(), data


def walk(body: Body) -> Steps:
    """Over the members of the outermost object, each of which goes up with a comma before it."""
    buffer = body.buffer
    yield from _space(body)
    if buffer[0] == 0xEF:
        raise bad("The body does not begin with '{' but with a byte order mark or the like.")
    if buffer[0] != _OBJECT:
        raise bad("The body is not a JSON object: it does not begin with '{'.")
    body.drop(1)
    yield from _space(body)
    last = buffer[0] == _CLOSING[_OBJECT]
    turn = 0
    while not last:
        turn += 1
        if turn % TURN == 0:
            yield False
        end = _end(_OUTERMOST, buffer, 0)
        if end:
            body.put(b"," + bytes(buffer[: buffer.rfind(b",", 0, end)]))
            body.drop(end)
            yield from _space(body)
        if buffer[0] != _QUOTE:
            raise _unexpected(body, 0, "a name in double quotes")
        if (yield from _is_model(body)):
            yield from _model(body)
        else:
            body.put(b",")
            at = yield from _member(body, 0)
            at = yield from _value(body, at)
            body.let_go(at)
        yield from _space(body)
        last = buffer[0] == _CLOSING[_OBJECT]
        if not last:
            if buffer[0] != _COMMA:
                raise _unexpected(body, 0, "',' or '}'")
            body.drop(1)
            yield from _space(body)
    body.drop(1)
    if body.model is None:
        raise no_model("The body names no model. Send 'model' with one of those in /v1/models.")
    while True:
        at = _end(_SPACE, buffer, 0)
        if at < len(buffer):
            raise _unexpected(body, at, "nothing more behind the end of the object")
        body.drop(at)
        if body.complete:
            break
        yield True
    body.put(b"}")


def _is_model(body: Body) -> Generator[bool, None, bool]:
    """Whether the name that begins here is `model`, however it is spelled."""
    while True:
        found = _KEY.match(body.buffer, 0, _LONGEST_SPELLING)
        if found is not None:
            name: str = json.loads(found[0].decode(errors="replace"))
            return name == "model"
        if len(body.buffer) >= _LONGEST_SPELLING:
            return False
        yield from body.more()


def _model(body: Body) -> Steps:
    """The member `model`, which does not go up as it came but before all else."""
    if body.model is not None:
        raise bad("The body names 'model' twice.")
    buffer = body.buffer
    body.drop(_end(_KEY, buffer, 0))
    yield from _space(body)
    if buffer[0] != _COLON_BYTE:
        raise _unexpected(body, 0, "':'")
    body.drop(1)
    yield from _space(body)
    if buffer[0] != _QUOTE:
        raise no_model("'model' is not a string. Send the name of one of those in /v1/models.")
    while (found := _KEY.match(buffer)) is None:
        if len(buffer) > _LONGEST_MODEL:
            raise no_model(f"The name in 'model' is longer than {LONGEST_NAME} bytes.")
        _inspect(body, _end(_IN_STRING, buffer, 1))
        yield from body.more()
    try:
        model = checked(json.loads(found[0].decode()))
    except UnicodeDecodeError:
        raise bad("The body is not UTF-8.") from None
    body.drop(found.end())
    body.found(model, b'{"model":' + json.dumps(model, ensure_ascii=False).encode())


def _space(body: Body) -> Steps:
    """Drops white space, up to a byte."""
    while True:
        body.drop(_end(_SPACE, body.buffer, 0))
        if body.buffer:
            return
        yield from body.more()


def _value(body: Body, at: int) -> At:
    """Behind a value."""
    buffer = body.buffer
    opened = bytearray()
    turn = 0
    while True:
        turn += 1
        if turn % TURN == 0:
            yield False
        at = yield from _at_byte(body, at)
        byte = buffer[at]
        if byte in _CLOSING:
            if len(opened) == DEEPEST - 1:
                raise bad(f"The body is nested deeper than {DEEPEST} levels.")
            opened.append(byte)
            at = yield from _at_byte(body, at + 1)
            if buffer[at] != _CLOSING[byte]:
                at = yield from _next(body, at, byte)
                continue
        elif byte == _QUOTE:
            at = yield from _string(body, at + 1)
        else:
            at = yield from _token(body, at)
        while opened:
            at = yield from _at_byte(body, at)
            byte = opened[-1]
            if buffer[at] == _COMMA:
                at = yield from _at_byte(body, at + 1)
                at = yield from _next(body, at, byte)
                break
            if buffer[at] != _CLOSING[byte]:
                raise _unexpected(body, at, f"',' or '{_CLOSING[byte]:c}'")
            opened.pop()
            at += 1
        else:
            return at


def _next(body: Body, at: int, bracket: int) -> At:
    """At the value of the next item or member that is to be taken apart."""
    at = _end(_RUNS[bracket], body.buffer, at)
    if bracket == _OBJECT:
        at = yield from _member(body, at)
    return at


def _member(body: Body, at: int) -> At:
    """Behind a name and its colon."""
    at = yield from _at_byte(body, at)
    if body.buffer[at] != _QUOTE:
        raise _unexpected(body, at, "a name in double quotes")
    at = yield from _string(body, at + 1)
    at = yield from _at_byte(body, at)
    if body.buffer[at] != _COLON_BYTE:
        raise _unexpected(body, at, "':'")
    return at + 1


def _string(body: Body, at: int) -> At:
    """Behind the quote that ends a string."""
    while True:
        at = _end(_IN_STRING, body.buffer, at)
        if _inspect(body, at):
            return at + 1
        yield from body.more(at)
        at = 0


def _inspect(body: Body, at: int) -> bool:
    """Whether a string ends here; False if that is still to come."""
    rest = bytes(body.buffer[at : at + 6])
    if rest[:1] == b'"':
        return True
    if not rest or (len(rest) < 6 and not body.complete and _ESCAPE.fullmatch(rest)):
        return False
    raise _unexpected(body, at, "an escape or a character that strings may have")


def _token(body: Body, at: int) -> At:
    """Behind a number, or one of the three words."""
    while True:
        found = _TOKEN.match(body.buffer, at)
        if found is not None:
            return found.end()
        end = _end(_OF_TOKEN, body.buffer, at)
        if end - at > LONGEST_NUMBER:
            raise bad(f"The body has a number of more than {LONGEST_NUMBER} digits.")
        if end < len(body.buffer) or end == at:
            raise _unexpected(body, at, "a value")
        yield from body.more(at)
        at = 0


def _at_byte(body: Body, at: int) -> At:
    """Behind white space, at a byte."""
    while True:
        at = _end(_SPACE, body.buffer, at)
        if at < len(body.buffer):
            return at
        yield from body.more(at)
        at = 0


def _end(run: re.Pattern[bytes], buffer: bytes | bytearray, at: int) -> int:
    """Behind all that a pattern matches, which may be nothing."""
    found = run.match(buffer, at)
    return at if found is None else found.end()


def _unexpected(body: Body, at: int, wanted: str) -> Refused:
    """A fault with its place."""
    return bad(
        f"The body is not JSON: byte {body.read + at} is {chr(body.buffer[at])!a}, "
        f"and not {wanted}."
    )
