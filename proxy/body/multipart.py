"""Reads a multipart form strictly, piece by piece, for its one field `model`. Pure.

RFC 7578, with 2046 for its delimiters and 6266 for `filename*`. Nobody behind here reads what the
client wrote between the contents: each part goes up with a head of ours and behind a delimiter of
ours, which nobody could know before, and `model` before all others. So there is nothing left of
which Go's reader could think otherwise.
"""

import re
from collections.abc import Generator
from urllib.parse import unquote_to_bytes

from proxy.body.body_reader import LONGEST_NAME, At, Body, Steps, Walk, checked
from proxy.http.media_type import is_utf8, parse
from proxy.http.refusal import bad, large, no_model

LONGEST_BOUNDARY = 70  # RFC 2046 5.1.1
LONGEST_HEAD = 8192
MOST_PARTS = 1000
"""As many as Go's mime/multipart reads."""
MOST_VALUES = 32 * 2**20
"""Bytes of all fields that are no files; llama-swap has 42 MiB for them and their names."""

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_PADDING = re.compile(rb"[ \t]{0,256}\r\n")
_OF_PADDING = re.compile(rb"[ \t]{0,256}\r?")
_FIELD = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*", re.DOTALL)
_FOLD = re.compile(r"\r\n[ \t]+")
_FAULT = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_KIND = re.compile(r"[ -~]{1,256}")
_EXTENDED = re.compile(r"(?i:utf-8)'[A-Za-z0-9\-]*'([!#$&+\-.^_`|~0-9A-Za-z]|%[0-9A-Fa-f]{2})*")


def boundary_of(parameters: dict[str, str]) -> bytes:
    """What separates the parts, out of the parameters of Content-Type."""
    boundary = parameters.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise bad(
            "The Content-Type of the form has no boundary, or none that RFC 2046 allows: up to "
            f"{LONGEST_BOUNDARY} letters, digits and '()+_,-./:=?."
        )
    return boundary.encode()


def walk_of(boundary: bytes, fence: bytes) -> Walk:
    """A walk over the parts of a form; `fence` is what separates them as they go up."""
    return lambda body: _walk(body, b"\r\n--" + boundary, b"--" + fence)


def _walk(body: Body, mark: bytes, fence: bytes) -> Steps:
    buffer = body.buffer
    buffer[:0] = b"\r\n"  # the first delimiter begins a line as the others do
    yield from _drop_to(body, mark, "The form has no part behind the boundary of its Content-Type.")
    parts = values = 0
    while not (yield from _is_last(body, mark)):
        yield False
        parts += 1
        if parts > MOST_PARTS:
            raise large(f"The form has more than {MOST_PARTS} parts.")
        name, is_value, lines = _head_of((yield from _head(body, mark)))
        if name == "model":
            if not is_value:
                raise no_model("'model' is sent as a file. Send it as a field of the form.")
            if body.model is not None:
                raise bad("The form names 'model' twice.")
            model = yield from _model(body, mark)
            body.found(model, b"".join((fence, b"\r\n", lines, b"\r\n", model.encode(), b"\r\n")))
            continue
        body.put(b"".join((fence, b"\r\n", lines, b"\r\n")))
        size = yield from _content(body, mark, MOST_VALUES - values if is_value else None)
        values += size if is_value else 0
        body.put(b"\r\n")
    if body.model is None:
        raise no_model(
            "The form has no field 'model'. Send one with a name of those in /v1/models."
        )
    while not body.complete:
        body.drop(len(buffer))
        yield True
    body.drop(len(buffer))
    body.put(fence + b"--\r\n")


def _drop_to(body: Body, mark: bytes, missing: str) -> Steps:
    """Over what nobody reads, up to a delimiter."""
    buffer = body.buffer
    while (at := buffer.find(mark)) < 0:
        if body.complete:
            raise bad(missing)
        body.drop(max(0, len(buffer) - len(mark) + 1))
        yield True
    body.drop(at)


def _is_last(body: Body, mark: bytes) -> Generator[bool, None, bool]:
    """Over the delimiter that begins here; whether it is the one behind all parts."""
    buffer = body.buffer
    body.drop(len(mark))
    while len(buffer) < 2:
        yield from body.more()
    last = buffer.startswith(b"--")
    if last:
        body.drop(2)
    while (found := _PADDING.match(buffer)) is None:
        if buffer.startswith(b"\n"):
            raise bad("The lines of the form end in LF. End them in CRLF.")
        if not _OF_PADDING.fullmatch(buffer):
            raise bad("The boundary of the form is followed by something else in its line.")
        if last and body.complete:
            return True
        yield from body.more()
    body.drop(found.end())
    return last


def _head(body: Body, mark: bytes) -> Generator[bool, None, bytes]:
    """The head of a part; what is left of it here is the line end before the content."""
    buffer = body.buffer
    while (end := buffer.find(b"\r\n\r\n")) < 0 or end > LONGEST_HEAD:
        if buffer.startswith(b"\r\n"):
            break
        if len(buffer) > LONGEST_HEAD:
            raise bad(f"The head of a part of the form is longer than {LONGEST_HEAD} bytes.")
        yield from body.more()
    head = bytes(buffer[: max(0, end)])
    if buffer.startswith(b"\r\n") or mark in head:
        raise bad("A part of the form has no head.")
    body.drop(end + 2)
    return head


def _content(body: Body, mark: bytes, most: int | None) -> At:
    """Lets go of the content of a part, up to its delimiter; how much it was."""
    buffer = body.buffer
    yield from _begin_content(body, mark)
    size = 0
    while (at := buffer.find(mark)) < 0:
        at = max(0, len(buffer) - len(mark) + 1)
        size += at
        if most is not None and size > most:
            break
        yield from body.more(at)
    size += at
    if most is not None and size > most:
        raise large(f"The fields of the form have more than {MOST_VALUES >> 20} MiB.")
    body.let_go(at)
    return size


def _model(body: Body, mark: bytes) -> Generator[bool, None, str]:
    """The content of the field `model`."""
    buffer = body.buffer
    yield from _begin_content(body, mark)
    while (end := buffer.find(mark)) < 0:
        if len(buffer) > LONGEST_NAME + len(mark):
            raise no_model(f"The field 'model' is longer than {LONGEST_NAME} bytes.")
        yield from body.more()
    try:
        model = bytes(buffer[:end]).decode()
    except UnicodeDecodeError:
        raise bad("The field 'model' is not UTF-8.") from None
    body.drop(end)
    return checked(model)


def _begin_content(body: Body, mark: bytes) -> Steps:
    """Over the line end before the content, unless it belongs to a delimiter: then there is none
    (RFC 2046 5.1.1: a part may end with its head)."""
    buffer = body.buffer
    while len(buffer) < len(mark) and mark.startswith(buffer):
        yield from body.more()
    if not buffer.startswith(mark):
        body.drop(2)


def _head_of(head: bytes) -> tuple[str, bool, bytes]:
    """The name of a part, whether it is a plain field, and the lines that go up as its head."""
    try:
        text = _FOLD.sub(" ", head.decode())
    except UnicodeDecodeError:
        raise bad("The head of a part of the form is not UTF-8.") from None
    fields: dict[str, str] = {}
    for line in text.split("\r\n"):
        found = _FIELD.fullmatch(line)
        if found is None or _FAULT.search(line) or found[1].lower() in fields:
            raise bad("The head of a part of the form has a line that is no header, or it twice.")
        fields[found[1].lower()] = found[2]
    if fields.get("content-transfer-encoding", "binary").lower() not in ("7bit", "8bit", "binary"):
        raise bad("A part of the form has a Content-Transfer-Encoding. Send it as it is.")
    name, filename = _names(fields.get("content-disposition", ""))
    kind = fields.get("content-type")
    if kind is not None and not _KIND.fullmatch(kind):
        raise bad("A part of the form has a Content-Type that is none.")
    if name == "model" and kind is not None:
        _check_text(kind)
    lines = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        lines += f'; filename="{_escaped(filename)}"'
    lines += "\r\n"
    if kind is not None and name != "model":
        lines += f"Content-Type: {kind}\r\n"
    return name, filename is None, lines.encode()


def _names(disposition: str) -> tuple[str, str | None]:
    """The name of a part, and that of its file if it is one."""
    try:
        word, parameters = parse(disposition)
    except ValueError:
        word, parameters = "", {}
    name = parameters.get("name")
    if word != "form-data" or not name:
        raise bad(
            "A part of the form has no name in one plain Content-Disposition. "
            'Send it as: Content-Disposition: form-data; name="model"'
        )
    if "name*" in parameters or '"' in name or "\\" in name or _FAULT.search(name):
        raise bad("The name of a part of the form can be read in more than one way.")
    filename = parameters.get("filename")
    if (extended := parameters.get("filename*")) is not None:
        filename = _extended(extended)
    if filename is not None and _FAULT.search(filename):
        raise bad("The name of a file in the form has control characters.")
    return name, filename


def _extended(value: str) -> str:
    """RFC 8187."""
    if not _EXTENDED.fullmatch(value):
        raise bad("A filename* in the form is not as RFC 8187 has it: UTF-8''NAME.")
    try:
        return unquote_to_bytes(value.rpartition("'")[2]).decode()
    except UnicodeDecodeError:
        raise bad("A filename* in the form is not UTF-8.") from None


def _escaped(filename: str) -> str:
    """As browsers do it: there is no other escape that all read alike."""
    return filename.replace('"', "%22").replace("\\", "%5C")


def _check_text(kind: str) -> None:
    """Refuses a `model` in another charset."""
    try:
        charset = parse(kind)[1].get("charset", "utf-8")
    except ValueError:
        charset = ""
    if not is_utf8(charset):
        raise bad("The field 'model' is not UTF-8.")
