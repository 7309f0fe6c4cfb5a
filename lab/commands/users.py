"""Who we are: one administrator, uid 501, whatever account the workstation runs us under."""

from __future__ import annotations

import os
import shutil
import sys

from lab.commands.base import Illegal, as_root, fail, getopt
from lab.mac import GID, UID, USER, Machine

USERS = {USER: UID, "root": 0, "nobody": -2}
# The groups of a first user; `staff` and `admin` are the ones that matter.
GROUPS = {"staff": GID, "everyone": 12, "localaccounts": 61, "admin": 80}
OTHER_GROUPS = {"wheel": 0, "daemon": 1, "nobody": -2}


def id(mac: Machine, args: list[str]) -> int:
    """id(1)."""
    try:
        flags, names = getopt(args, "AFGMPagnpru")
    except Illegal as error:
        return fail(f"id: {error}\nusage: id [user]")
    user = names[0] if names else ("root" if as_root() else USER)
    if user not in USERS:
        return fail(f"id: {user}: no such user")
    groups = {"wheel": 0, **GROUPS} if user == "root" else GROUPS
    letters = {letter for letter, _ in flags}
    name = "n" in letters
    main, number = next(iter(groups.items()))
    if "u" in letters:
        print(user if name else USERS[user])
    elif "g" in letters:
        print(main if name else number)
    elif "G" in letters:
        print(" ".join(groups if name else map(str, groups.values())))
    else:
        listed = ",".join(f"{gid}({group})" for group, gid in groups.items())
        print(f"uid={USERS[user]}({user}) gid={number}({main}) groups={listed}")
    return 0


def whoami(mac: Machine, args: list[str]) -> int:
    print("root" if as_root() else USER)
    return 0


def groups(mac: Machine, args: list[str]) -> int:
    print(" ".join(GROUPS))
    return 0


def chown(mac: Machine, args: list[str]) -> int:
    """chown(8): checks names and permission; every file here is the user's own already."""
    try:
        _, rest = getopt(args, "fhnvxHLPR")
    except Illegal as error:
        return fail(f"chown: {error}\nusage: chown [-fhnvx] [-R [-H | -L | -P]] owner[:group] file")
    if len(rest) < 2:
        return fail("usage: chown [-fhnvx] [-R [-H | -L | -P]] owner[:group] file ...")
    owner, _, group = rest[0].replace(".", ":", 1).partition(":")
    if owner and owner not in USERS and not owner.isdigit():
        return fail(f"chown: {owner}: illegal user name")
    foreign = owner not in ("", USER, str(UID))
    return _change("chown", group, foreign, rest[1:])


def chgrp(mac: Machine, args: list[str]) -> int:
    try:
        _, rest = getopt(args, "fhnvxHLPR")
    except Illegal as error:
        return fail(f"chgrp: {error}\nusage: chgrp [-fhnvx] [-R [-H | -L | -P]] group file ...")
    if len(rest) < 2:
        return fail("usage: chgrp [-fhnvx] [-R [-H | -L | -P]] group file ...")
    return _change("chgrp", rest[0], False, rest[1:])


def _change(command: str, group: str, foreign: bool, files: list[str]) -> int:
    if group and group not in GROUPS | OTHER_GROUPS and not group.isdigit():
        return fail(f"{command}: {group}: illegal group name")
    foreign = foreign or (group in OTHER_GROUPS)
    code = 0
    for file in files:
        if not os.path.lexists(file):
            code = fail(f"{command}: {file}: No such file or directory")
        elif foreign and not as_root():
            code = fail(f"{command}: {file}: Operation not permitted")
    return code


def sudo(mac: Machine, args: list[str]) -> int:
    """sudo(8): all may be run without a password, or what a rule names; there is no other way."""
    from lab.sudoers import allows  # costs re's import, which few commands need

    user, only_list, command = "root", "", list(args)
    quiet = False
    while command and command[0].startswith("-"):
        flag = command.pop(0)
        if flag == "--":
            break
        if flag in ("-u", "-g", "-p", "-C"):
            value = command.pop(0) if command else ""
            user = value if flag == "-u" else user
        elif not flag.startswith("--"):
            quiet = quiet or "n" in flag
            only_list = next((letter for letter in "lv" if letter in flag), only_list)
    set_here = {}
    while command and "=" in command[0]:
        name, _, value = command.pop(0).partition("=")
        set_here[name] = value
    granted = mac.facts["sudo"]
    if command and "/" not in command[0]:
        command[0] = shutil.which(command[0], path=mac.path) or command[0]
    named = [mac.outside(word) for word in command]
    rules = granted if isinstance(granted, list) else []
    if granted == "passwordless" or as_root():
        free = True
    elif only_list == "l":
        # Any rule without a password is enough to look (listpw), and an administrator may all.
        free = bool(rules)
    else:
        # `-v` asks for one, as that of %admin does.
        free = not only_list and any(allows(rule, named) for rule in rules)
    if not free:
        if not quiet:
            sys.stderr.write(
                "sudo: a terminal is required to read the password; either use the -S option to"
                " read from standard input or configure an askpass helper\n"
            )
        return fail("sudo: a password is required")
    if only_list == "l":
        said = " ".join(named) if named else "    (ALL) ALL"
        print("\n".join([said, *(f"    (root) NOPASSWD: {r}" for r in rules if not named)]))
        return 0
    if rules and set_here:
        text = (
            f"you are not allowed to set the following environment variables: {', '.join(set_here)}"
        )
        return fail(f"sudo: sorry, {text}")
    if only_list or not command:
        return 0
    environment = os.environ | set_here
    if user in ("root", "0"):
        environment |= {"LAB_AS_ROOT": "1", "USER": "root", "LOGNAME": "root"}
    else:
        environment.pop("LAB_AS_ROOT", None)
        environment |= {"USER": user, "LOGNAME": user}
    environment |= {"SUDO_USER": USER, "SUDO_UID": str(UID), "SUDO_GID": str(GID)}
    try:
        os.execvpe(mac.own(command[0]), command, environment)
    except FileNotFoundError:
        return fail(f"sudo: {command[0]}: command not found")
