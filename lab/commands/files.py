"""stat, sed and mktemp as BSD has them (Apple's file_cmds and text_cmds, man pages)."""

from __future__ import annotations

import os
import stat as modes
import sys
import time

from lab.commands.base import Illegal, fail, getopt, hand_over
from lab.mac import GID, UID, USER, Machine

STAT_USAGE = "usage: stat [-FLnq] [-f format | -l | -r | -s | -x] [-t timefmt] [file ...]"
TYPES = {
    modes.S_IFDIR: ("Directory", "/"),
    modes.S_IFREG: ("Regular File", ""),
    modes.S_IFLNK: ("Symbolic Link", "@"),
    modes.S_IFSOCK: ("Socket", "="),
    modes.S_IFIFO: ("Fifo File", "|"),
    modes.S_IFCHR: ("Character Device", ""),
    modes.S_IFBLK: ("Block Device", ""),
}


def stat(mac: Machine, args: list[str]) -> int:
    """stat(1): no -c; without -f the line of all fields."""
    try:
        flags, files = getopt(args, "f:FlLnqrst:x")
    except Illegal as error:
        return fail(f"stat: {error}\n{STAT_USAGE}")
    options = dict(flags)
    template = options.get("f", '%d %i %Sp %l %Su %Sg %r %z "%Sa" "%Sm" "%Sc" "%SB" %k %b %Of %N')
    when = options.get("t", "%b %e %T %Y")
    other, code = mac.facts["prefix_owner"], 0
    for file in files:
        try:
            info = os.stat(file) if "L" in options else os.lstat(file)
            if mac.folder.startswith(os.path.normpath(file).rstrip("/") + "/"):
                # What is above this Mac is the workstation's; a Mac's own are root's.
                info = os.stat_result((modes.S_IFDIR | 0o755, *info[1:4], 0, 0, *info[6:10]))
        except OSError as error:
            code = 1
            if "q" not in options:
                sys.stderr.write(f"stat: {file}: stat: {error.strerror}\n")
            continue
        form = template
        if other and f"{file}/".startswith(f"{mac.prefix}/"):
            form = form.replace("%Su", other).replace("%u", "502")
        sys.stdout.write(_format(form, file, info, when))
        sys.stdout.write("" if "n" in options else "\n")
    return code


def xattr(mac: Machine, args: list[str]) -> int:
    """xattr(1), of the one attribute that counts here; texts from macOS 26."""
    name, given = "com.apple.quarantine", dict(mac.facts["quarantined"])
    if len(args) == 1 and not args[0].startswith("-"):
        sys.stdout.write(f"{name}\n" if mac.quarantine(args[0]) else "")
        return 0
    if len(args) != 3 or args[0] not in ("-p", "-d"):
        return fail("usage: xattr [-l] [-r] [-s] [-v] [-x] file [file ...]", 64)
    _, wanted, path = args
    if not os.path.lexists(path):
        return fail(f"xattr: No such file: {path}")
    value = mac.quarantine(path) if wanted == name else None
    if value is None:
        return fail(f"xattr: {path}: No such xattr: {wanted}")
    if args[0] == "-p":
        print(value)
    else:
        del given[os.stat(path).st_ino]
        mac.set(quarantined=given)
    return 0


def _format(template: str, file: str, info: os.stat_result, when: str) -> str:
    """Fields are %[flags][width][.precision][form][part]letter."""
    shown, percent, rest = template.partition("%")
    while percent:
        flags, rest = _leading("-+ #0", rest)
        width, rest = _leading("0123456789", rest)
        if rest.startswith("."):
            _, rest = _leading("0123456789", rest[1:])
        form = rest[0] if rest[1:] and rest[0] in "DOUXFS" else ""
        part = rest[len(form)] if rest[len(form) + 1 :] and rest[len(form)] in "HML" else ""
        rest = rest[len(form + part) :]
        letter, rest = rest[:1], rest[1:]
        value = {"": "%", "%": "%", "n": "\n", "t": "\t"}.get(letter)
        if value is None:
            value = _field(letter, form, part, file, info, when)
        if width:
            value = value.ljust(int(width)) if "-" in flags else value.rjust(int(width))
        literal, percent, rest = rest.partition("%")
        shown += value + literal
    return shown


def _leading(letters: str, text: str) -> tuple[str, str]:
    """What of a text is of these letters only, and the rest."""
    rest = text.lstrip(letters)
    return text[: len(text) - len(rest)], rest


def _field(letter: str, form: str, part: str, file: str, info: os.stat_result, when: str) -> str:
    """One datum; `form` S asks for its text, H M L for a part of it."""
    text = form == "S"
    # Whatever the workstation calls us, on this Mac the files are the user's.
    ours = info.st_uid == os.getuid()
    if letter == "u":
        user, uid = (USER, UID) if ours else ("root", 0)
        return user if text else str(uid)
    if letter == "g":
        group, gid = ("staff", GID) if ours else ("wheel", 0)
        return group if text else str(gid)
    if letter == "p":
        return _permissions(form, part, info.st_mode)
    if letter in "amcB":
        seconds = {"a": info.st_atime, "m": info.st_mtime, "c": info.st_ctime}.get(
            letter, info.st_mtime
        )
        if form == "F":
            of = {"a": info.st_atime_ns, "c": info.st_ctime_ns}.get(letter, info.st_mtime_ns)
            return f"{of // 10**9}.{of % 10**9:09}"
        return time.strftime(when, time.localtime(seconds)) if text else str(int(seconds))
    if letter == "N":
        return file
    if letter in "YR":
        target = os.readlink(file) if modes.S_ISLNK(info.st_mode) else ""
        return f" -> {target}" if text and target else target
    if letter == "T":
        word, sign = TYPES.get(modes.S_IFMT(info.st_mode), ("", ""))
        return word if part == "H" else sign
    numbers = {
        "z": info.st_size,
        "i": info.st_ino,
        "l": info.st_nlink,
        "d": info.st_dev,
        "r": info.st_rdev,
        "b": info.st_blocks,
        "k": info.st_blksize,
        "f": 0,
        "v": 0,
    }
    if letter == "f" and text:
        return "-"
    number = numbers.get(letter, 0)
    return f"{number:o}" if form == "O" else f"{number:x}" if form == "X" else str(number)


def _permissions(form: str, part: str, mode: int) -> str:
    """%p is octal unless told otherwise; %Lp its lower 9 bits, %Mp the next 3, %Hp the type."""
    if form == "S":
        text = modes.filemode(mode)
        return {"H": text[1:4], "M": text[4:7], "L": text[7:10]}.get(part, text)
    number = {"L": mode & 0o777, "M": (mode >> 9) & 7, "H": mode >> 12}.get(part, mode)
    return str(number) if form in "DU" and form else f"{number:o}"


def sed(mac: Machine, args: list[str]) -> int:
    """sed(1): -i takes its suffix from the next argument; no long options."""
    if sys.platform == "darwin":
        hand_over("sed", args, mac)
    try:
        flags, rest = getopt(args, "Eae:f:i:I:lnru")
    except Illegal as error:
        return fail(
            f"sed: {error}\nusage: sed script [-EHalnru] [-i extension] [file ...]\n"
            "\tsed [-EHalnu] [-i extension] [-e script] ... [-f script_file] ... [file ...]"
        )
    real = [f"-{letter}{value}" for letter, value in flags if letter not in "aIl"]
    hand_over("sed", [*real, "--", *rest], mac)


def mktemp(mac: Machine, args: list[str]) -> int:
    """mktemp(1): -t takes a prefix, and only X at the very end are replaced."""
    if sys.platform == "darwin":
        hand_over("mktemp", args, mac)
    try:
        flags, templates = getopt(args, "dp:qt:u")
    except Illegal as error:
        return fail(
            f"mktemp: {error}\nusage: mktemp [-d] [-p tmpdir] [-q] [-t prefix] [-u] template ..."
        )
    options = dict(flags)
    real = [f"-{letter}" for letter in "dqu" if letter in options]
    folder = options.get("p") or os.environ.get("TMPDIR") or "/tmp"
    if "t" in options or not templates:
        prefix = options.get("t", "tmp")
        templates = [os.path.join(folder, f"{prefix}.XXXXXXXX"), *templates]
    elif "p" in options:
        templates = [os.path.join(folder, template) for template in templates]
    literal = [template for template in templates if not template.endswith("X")]
    for template in literal:
        try:
            os.close(os.open(template, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError as error:
            return fail(f"mktemp: mkstemp failed on {template}: {error.strerror}")
        print(template)
    templates = [template for template in templates if template not in literal]
    if templates:
        hand_over("mktemp", [*real, *templates], mac)
    return 0
