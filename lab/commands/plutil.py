"""plutil(1): -lint, -convert, -extract and -p."""

from __future__ import annotations

import json
import plistlib
import sys
from pathlib import Path
from typing import Any

from lab.commands.base import fail
from lab.mac import Machine


class Unreadable(Exception):
    """Why a file is no property list, in plutil's words."""


def plutil(mac: Machine, args: list[str]) -> int:
    if not args:
        return fail("plutil: no command option specified")
    verb, rest = args[0], list(args[1:])
    output, words = "", []
    while rest:
        word = rest.pop(0)
        if word == "-o" and rest:
            output = rest.pop(0)
        elif word not in ("-s", "-r", "-n", "--") or (verb == "-extract" and word == "-n"):
            words.append(word)
    if verb == "-lint" or not verb.startswith("-"):
        files = words if verb == "-lint" else [verb, *words]
        return max((_lint(file, "-s" in args) for file in files), default=1)
    needed = {"-convert": 1, "-extract": 2, "-p": 0}.get(verb)
    if needed is None or len(words) <= needed:
        return fail(
            f"plutil: unrecognized option: {verb}" if needed is None else "plutil: no files"
        )
    code = 0
    for file in words[needed:]:
        try:
            value = _read(file)
            if verb == "-p":
                print(json.dumps(value, indent=2, default=str))
                continue
            if verb == "-extract":
                value = _at(value, words[0], file)
            text = _write(value, words[needed - 1], file)
        except Unreadable as problem:
            code = fail(f"{file}: {problem}")
            continue
        if output == "-" or (verb == "-extract" and words[1] == "raw"):
            sys.stdout.buffer.write(text)
        else:
            Path(output or file).write_bytes(text)
    return code


def _lint(file: str, silent: bool) -> int:
    try:
        _read(file)
    except Unreadable as problem:
        return fail(f"{file}: {problem}")
    if not silent:
        print(f"{file}: OK")
    return 0


def _read(file: str) -> Any:
    """XML and binary property lists, and JSON, which plutil takes as well."""
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError:
        raise Unreadable(
            "file does not exist or is not readable or is not a regular file"
        ) from None
    try:
        return json.loads(raw) if raw.lstrip()[:1] in (b"{", b"[") else plistlib.loads(raw)
    except Exception:  # plistlib lets expat's and its own errors through
        first = raw[:1].decode(errors="replace")
        raise Unreadable(
            f"Property List error: Unexpected character {first} at line 1 / JSON error: JSON text"
            " did not start with array or object and option to allow fragments not set."
            " around line 1, column 0."
        ) from None


def _at(value: Any, keypath: str, file: str) -> Any:
    for key in keypath.split("."):
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, ValueError, TypeError):
            raise Unreadable(
                f"Could not extract value, error: No value at that key path or invalid key path:"
                f" {keypath}"
            ) from None
    return value


def _write(value: Any, form: str, file: str) -> bytes:
    if form == "json":
        try:
            return json.dumps(value, separators=(",", ":")).encode()
        except TypeError:  # dates and data
            raise Unreadable("invalid object in plist for destination format") from None
    if form == "raw":
        if isinstance(value, bool):
            return f"{str(value).lower()}\n".encode()
        shown = len(value) if isinstance(value, list) else value
        return ("\n".join(value) if isinstance(value, dict) else f"{shown}").encode() + b"\n"
    kind = plistlib.FMT_BINARY if form == "binary1" else plistlib.FMT_XML
    return plistlib.dumps(value, fmt=kind)
