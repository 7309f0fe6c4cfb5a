"""Which command lines a rule of sudoers(5) lets through, compared as sudo compares them."""

from __future__ import annotations

import re

# What a backslash makes plain for the parser; before others fnmatch(3) finds it again.
PARSED = re.compile(r"\\([:\\,= \t#])")
GLOB = re.compile(r"\\.|\[!?[^\]]+\]|.", re.DOTALL)


def allows(rule: str, command: list[str]) -> bool:
    """Whether a rule, or what stands behind its last tag, names this command: absolute path and
    arguments. Without arguments a rule lets all through, `""` none (sudoers(5), Cmnd_Spec)."""
    spec = PARSED.sub(r"\1", rule.rpartition("NOPASSWD:")[2].strip())
    program, _, arguments = spec.partition(" ")
    if spec == "ALL":
        return True
    if not command or program != command[0]:
        return False
    given = " ".join(command[1:])
    if arguments in ("", '""'):
        return not arguments or not given
    if arguments.startswith("^") and arguments.endswith("$"):  # from sudo 1.9.10 on
        return re.fullmatch(arguments[1:-1], given) is not None
    return re.fullmatch(_pattern(arguments), given, re.DOTALL) is not None


def _pattern(glob: str) -> str:
    """Of fnmatch(3) without flags: a blank is like any other character."""
    found = []
    for part in GLOB.findall(glob):
        if part.startswith("[") and len(part) > 1:
            found.append(part.replace("[!", "[^", 1))
        else:
            found.append({"*": ".*", "?": "."}.get(part) or re.escape(part.removeprefix("\\")))
    return "".join(found)
