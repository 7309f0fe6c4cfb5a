"""shasum (all versions), md5, and sha256sum and md5sum (from macOS 15; Apple's text_cmds)."""

from __future__ import annotations

import os
import sys

from lab.commands.base import fail
from lab.mac import Machine


def _digest(name: str, path: str) -> str:
    import hashlib

    digest = hashlib.new(name)
    if path == "-":
        digest.update(sys.stdin.buffer.read())
        return digest.hexdigest()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def shasum(mac: Machine, args: list[str]) -> int:
    """shasum(1), a perl script: sha1 unless -a says otherwise."""
    algorithm, check, quiet, files, rest = "1", False, False, [], list(args)
    while rest:
        word = rest.pop(0)
        if word in ("-a", "--algorithm") and rest:
            algorithm = rest.pop(0)
        elif word.startswith("-a") and word[2:].isdigit():
            algorithm = word[2:]
        elif word in ("-c", "--check"):
            check = True
        elif word in ("-s", "--status", "-q", "--quiet"):
            quiet = True
        elif not word.startswith("-") or word == "-":
            files.append(word)
    return _sums("shasum", f"sha{algorithm}", files or ["-"], check, quiet)


def sha256sum(mac: Machine, args: list[str]) -> int:
    files = [word for word in args if not word.startswith("-")]
    return _sums("sha256sum", "sha256", files or ["-"], "-c" in args, False)


def md5sum(mac: Machine, args: list[str]) -> int:
    files = [word for word in args if not word.startswith("-")]
    return _sums("md5sum", "md5", files or ["-"], "-c" in args, False)


def md5(mac: Machine, args: list[str]) -> int:
    """md5(1): BSD's own layout, bare with -q."""
    code = 0
    for file in [word for word in args if not word.startswith("-")] or ["-"]:
        try:
            digest = _digest("md5", file)
        except OSError as error:
            code = fail(f"md5: {file}: {error.strerror}")
            continue
        print(digest if "-q" in args or file == "-" else f"MD5 ({file}) = {digest}")
    return code


def _sums(command: str, algorithm: str, files: list[str], check: bool, quiet: bool) -> int:
    code = 0
    for file in files:
        try:
            if check:
                code = _check(command, algorithm, file, quiet) or code
            else:
                print(f"{_digest(algorithm, file)}  {file}")
        except OSError as error:
            code = fail(f"{command}: {file}: {error.strerror}")
    return code


def _check(command: str, algorithm: str, listing: str, quiet: bool) -> int:
    bad = 0
    with sys.stdin if listing == "-" else open(listing) as lines:
        for line in lines:
            wanted, _, path = line.rstrip("\n").partition("  ")
            good = os.path.exists(path) and _digest(algorithm, path) == wanted.lower()
            bad += not good
            if not (quiet and good):
                print(f"{path}: {'OK' if good else 'FAILED'}")
    if bad:
        plural = "" if bad == 1 else "s"
        fail(f"{command}: WARNING: {bad} computed checksum{plural} did NOT match")
    return 1 if bad else 0
