"""Settings of a Mac that administration tools show: power, names, FileVault, firewall, users."""

from __future__ import annotations

import sys
import time

from lab.commands.base import as_root, fail
from lab.mac import USER, Machine

POWER_KEYS = frozenset(
    [
        "sleep",
        "displaysleep",
        "disksleep",
        "womp",
        "autorestart",
        "powernap",
        "standby",
        "standbydelay",
        "hibernatemode",
        "ttyskeepawake",
        "tcpkeepalive",
        "lowpowermode",
        "powermode",
        "networkoversleep",
        "lessbright",
        "acwake",
        "lidwake",
        "halfdim",
    ]
)
FIREWALL = (
    "Firewall is disabled. (State = 0)",
    "Firewall is enabled. (State = 1)",
    "Firewall is set to block all non-essential incoming connections. (State = 2)",
)


def pmset(mac: Machine, args: list[str]) -> int:
    """pmset(1); layout from Apple's PowerManagement."""
    if args[:1] == ["-g"]:
        print("System-wide power settings:\nCurrently in use:")
        for key, value in sorted(mac.facts["power"].items()):
            print(f" {key:<20} {value}")
        return 0
    pairs = args[1:]
    keys, values = pairs[::2], pairs[1::2]
    known = all(key in POWER_KEYS for key in keys) and len(keys) == len(values) > 0
    if args[:1] not in (["-a"], ["-b"], ["-c"], ["-u"]) or not known:
        return fail("Usage:  pmset [-b | -c | -u | -a] <action> <value>")
    if not as_root():
        print("'pmset' must be run as root...")
        return 1
    mac.set(power=mac.facts["power"] | dict(zip(keys, values, strict=True)))
    return 0


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
    """defaults(1) on a Mac where nothing was ever set; auto-login is the exception."""
    if args[:1] != ["read"] or len(args) < 2:
        return 0
    domain, key = args[1], args[2] if len(args) > 2 else ""
    value = mac.facts.get("defaults", {}).get(f"{domain} {key}")
    if value is not None:
        print(value)
        return 0
    stamp = time.strftime("%Y-%m-%d %H:%M:%S.000")
    about = f"The domain/default pair of ({domain}, {key}) does not exist"
    return fail(f"{stamp} defaults[4242:4242] \n{about}")


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


def socketfilterfw(mac: Machine, args: list[str]) -> int:
    """The Application Firewall; reading needs no root in published captures."""
    if args == ["--getglobalstate"]:
        print(FIREWALL[int(mac.facts["firewall"])])
        return 0
    if args == ["--listapps"]:
        print("Total number of apps = 0 ")
        return 0
    if not as_root():
        return fail("Must be root to change settings.")
    return 0
