"""Programs that talk to the lab's daemon: launchctl and open; and caffeinate, which need not."""

from __future__ import annotations

import os
import sys
import time

from lab import control
from lab.commands.base import as_root, fail
from lab.mac import Machine


def launchctl(mac: Machine, args: list[str]) -> int:
    """launchctl(1); lab.launchd.launchctl has the verbs."""
    if args[:1] == ["asuser"]:
        return _asuser(args[1:])
    try:
        reply = control.request(
            mac.lab_folder,
            mac.name,
            "launchctl",
            argv=args,
            root=as_root(),
            session=os.environ.get("LAB_SESSION", "Background"),
            cwd=os.getcwd(),
        )
    except OSError:
        return fail("the lab's daemon is not running, so this Mac has no launchd", 1)
    sys.stdout.write(reply["out"])
    sys.stderr.write(reply["err"])
    return int(reply["code"])


def _asuser(args: list[str]) -> int:
    """`launchctl asuser UID COMMAND` needs root (launchctl(1))."""
    if len(args) < 2:
        return fail("Usage: launchctl asuser <uid> <program> [...]", 64)
    if not as_root():
        return fail("Could not switch to audit session 0x186a1: 1: Operation not permitted", 1)
    os.execvpe(args[1], args[1:], os.environ | {"LAB_SESSION": "Aqua"})


def open(mac: Machine, args: list[str]) -> int:
    """open(1): Terminal runs what it is given; everything else is written down for the tests."""
    app, targets, rest = "", [], list(args)
    while rest:
        word = rest.pop(0)
        if word in ("-a", "-b") and rest:
            app = rest.pop(0)
        elif word == "--args":
            break
        elif not word.startswith("-"):
            targets.append(word)
    if app and app.removesuffix(".app").rpartition("/")[2] not in ("Terminal", "Safari", "Finder"):
        return fail(f"Unable to find application named '{app}'")
    for target in targets:
        if "://" in target:
            continue
        if not os.path.exists(target):
            return fail(f"The file {os.path.abspath(target)} does not exist.")
    with (mac.root / "opened.log").open("a") as file:
        file.writelines(f"{target}\n" for target in targets or [app])
    for target in targets:
        if "Terminal" in app or target.endswith(".command"):
            try:
                path = os.path.abspath(target)
                control.request(mac.lab_folder, mac.name, "open_terminal", file=path)
            except RuntimeError:  # nobody is logged in; the real wording is uncertain
                return fail(f"LSOpenURLsWithRole() failed with error -10810 for the file {target}.")
    return 0


def caffeinate(mac: Machine, args: list[str]) -> int:
    """caffeinate(8): stays in the foreground as long as asked."""
    rest = list(args)
    seconds: float | None = None
    while rest and rest[0].startswith("-"):
        flag = rest.pop(0)
        if flag.endswith("t") and rest:
            seconds = float(rest.pop(0))
        elif flag.endswith("w") and rest:
            pid = int(rest.pop(0))
            while os.path.exists(f"/proc/{pid}") or _exists(pid):
                time.sleep(0.2)
            return 0
    if rest:
        import subprocess

        return subprocess.run(rest, check=False).returncode
    time.sleep(seconds if seconds is not None else 10**8)
    return 0


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
