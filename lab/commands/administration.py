"""Settings of a Mac that administration tools show: names, FileVault, defaults, users."""

from __future__ import annotations

import sys
import time

from lab.commands.base import as_root, fail
from lab.mac import USER, Machine


def scutil(mac: Machine, args: list[str]) -> int:
    """scutil(8): HostName is not set on a new Mac."""
    if args[:1] != ["--get"] or len(args) != 2:
        return fail("usage: scutil --get ComputerName | LocalHostName | HostName")
    if args[1] == "HostName":
        return fail("HostName: not set")
    print(mac.name)
    return 0


def systemsetup(mac: Machine, args: list[str]) -> int:
    """systemsetup(8) tells users off on stdout, and exits 0."""
    if not as_root():
        print("You need administrator access to run this tool... exiting!")
        return 0
    if args == ["-getremotelogin"]:
        print("Remote Login: On")
    return 0


def networksetup(mac: Machine, args: list[str]) -> int:
    if args == ["-listallhardwareports"]:
        print("\nHardware Port: Ethernet\nDevice: en0\nEthernet Address: 00:00:00:00:00:00")
    return 0


def fdesetup(mac: Machine, args: list[str]) -> int:
    """fdesetup(8): whether `status` exits 1 when off is uncertain; the text decides."""
    on = bool(mac.facts["filevault"])
    if args[:1] == ["status"]:
        print(f"FileVault is {'On' if on else 'Off'}.")
        return 0
    if args[:1] == ["isactive"]:
        print("true" if on else "false")
        return 0 if on else 1
    return fail("fdesetup: unknown command")


def defaults(mac: Machine, args: list[str]) -> int:
    """defaults(1) on a Mac where nothing was ever set, but what the fact `defaults` has by domain
    and key ("com.apple.x key"). A domain in /Library is root's."""
    verb, domain, key, *value = (*args, "", "", "")[: max(3, len(args))]
    stored: dict[str, str] = mac.facts["defaults"]
    name = f"{domain} {key}"
    if verb in ("write", "delete"):
        if domain.startswith("/Library/") and not as_root():
            return fail(f"{_stamp()} defaults[4242:4242] Could not write domain {domain}; exiting")
        if verb == "delete" and name not in stored:
            return _absent(domain, key)
        if "defaults" not in mac.facts["lies"]:
            kept = {each: said for each, said in stored.items() if each != name}
            if verb == "write":
                kept[name] = {"true": "1", "false": "0"}.get(value[-1].lower(), value[-1])
            mac.set(defaults=kept)
        return 0
    if verb != "read" or not domain:
        return 0
    if key:
        if name not in stored:
            return _absent(domain, key)
        print(stored[name])
        return 0
    own = {each.partition(" ")[2]: v for each, v in stored.items() if each.startswith(f"{domain} ")}
    if not own:
        return fail(f"{_stamp()} defaults[4242:4242] \nDomain {domain} does not exist")
    print("\n".join(["{", *(f"    {each} = {said};" for each, said in own.items()), "}"]))
    return 0


def _stamp() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S.000")


def _absent(domain: str, key: str) -> int:
    about = f"The domain/default pair of ({domain}, {key}) does not exist"
    return fail(f"{_stamp()} defaults[4242:4242] \n{about}")


def dscl(mac: Machine, args: list[str]) -> int:
    """dscl(1): the local node's users."""
    words = [word.lstrip("-") for word in args[1:]]
    if words[:2] == ["list", "/Users"]:
        print("\n".join(["_www", "daemon", "nobody", "root", USER]))
        return 0
    values = {"UserShell": "/bin/zsh", "NFSHomeDirectory": str(mac.home), "UniqueID": "501"}
    if words[:2] == ["read", f"/Users/{USER}"]:
        for key in words[2:] or values:
            if key in values:
                print(f"{key}: {values[key]}")
        return 0
    return fail("<dscl_cmd> DS Error: -14136 (eDSRecordNotFound)", 56)


def softwareupdate(mac: Machine, args: list[str]) -> int:
    """Only what Homebrew's installer does with it: the Command Line Tools."""
    if args[:1] == ["-l"]:
        print("Software Update found the following new or updated software:")
        print("* Label: Command Line Tools for Xcode 26.1-26.1")
    elif args[:1] == ["-i"]:
        if not as_root():
            return fail("softwareupdate: Must be run as root")
        mac.set(clt=True)
    return 0


def xcode_select(mac: Machine, args: list[str]) -> int:
    """xcode-select(1), newest wording."""
    if args[:1] == ["--install"]:
        if mac.facts["clt"]:
            return fail("xcode-select: note: Command line tools are already installed.")
        return fail("xcode-select: note: install requested for command line developer tools", 0)
    if args[:1] not in (["-p"], ["--print-path"]):
        return fail("Usage: xcode-select [options]", 64)
    if mac.facts["clt"]:
        print("/Library/Developer/CommandLineTools")
        return 0
    sys.stderr.write("xcode-select: error: Unable to get active developer directory.\n")
    return fail(
        "Use `sudo xcode-select --switch path/to/Xcode.app` to set one (or see `man xcode-select`)",
        2,
    )
