"""The two firewalls of macOS: socketfilterfw, which knows programs, and pfctl, which knows packets.

Texts are of published captures; both say that all went well where nothing was done.
"""

from __future__ import annotations

import ipaddress
import re
import sys
from pathlib import Path

from lab.commands.base import Illegal, as_root, fail, getopt
from lab.mac import Machine

STATES = (
    "Firewall is disabled. (State = 0)",
    "Firewall is enabled. (State = 1)",
    "Firewall is blocking all non-essential incoming connections. (State = 2)",
)
ADDED = "Application at path ( {} ) added to firewall"
# Of every pfctl of macOS, on stderr.
CHATTER = "No ALTQ support in kernel\nALTQ related functions disabled"
STOCK = [
    'scrub-anchor "com.apple/*" all fragment reassemble',
    'anchor "com.apple/*" all',
]


def socketfilterfw(mac: Machine, args: list[str]) -> int:
    """The application firewall; reading needs no root in published captures."""
    apps: dict[str, str] = mac.facts["firewall_apps"]
    option, path = (*args, "", "")[:2]
    if args == ["--getglobalstate"]:
        print(STATES[int(mac.facts["firewall"])])
    elif args == ["--listapps"]:
        print(f"Total number of apps = {len(apps)} ")
        for number, (app, verdict) in enumerate(apps.items(), 1):
            print(f"{number} : {app} \n             ({verdict} incoming connections) ")
    elif len(args) != 2 or option not in ("--add", "--unblockapp", "--blockapp", "--remove"):
        return fail("usage: socketfilterfw [--add path] [--listapps] ...")
    elif not as_root() and mac.macos_major >= 26:
        return fail("Must be root to change settings.", 255)
    elif option == "--add":
        # Without root, too, nothing is done, and this is said (lima-vm/socket_vmnet #51).
        if as_root() and "socketfilterfw" not in mac.facts["lies"]:
            mac.set(firewall_apps={path: "Allow"} | apps)
        print(ADDED.format(path))
    elif path not in apps:
        print("The application is not part of the firewall")
    elif not as_root():
        return fail("Must be root to change settings.", 255)
    elif option == "--remove":
        mac.set(firewall_apps={app: verdict for app, verdict in apps.items() if app != path})
        print(f"Application at path ( {path} ) removed from firewall")
    else:
        allow = option == "--unblockapp"
        mac.set(firewall_apps=apps | {path: "Allow" if allow else "Block"})
        print(f"Incoming connection to the application is {'permitted' if allow else 'blocked'}")
    return 0


def pfctl(mac: Machine, args: list[str]) -> int:
    """pfctl(8), as far as rules in anchors need it."""
    try:
        flags, _ = getopt(args, "a:f:F:s:X:EedqvNRo:")
    except Illegal as error:
        return fail(f"pfctl: {error}\nusage: pfctl [-AdeghmNnOPqRrvz] [-a anchor] ...")
    sys.stderr.write(f"{CHATTER}\n")
    if not as_root():
        return fail("pfctl: /dev/pf: Permission denied")
    asked = {f"-{letter}": value for letter, value in flags}
    anchor, pf = asked.get("-a"), mac.facts["pf"]
    if "-s" in asked:
        return _show(pf, asked["-s"], anchor)
    if "-X" in asked:
        pf = pf | {"references": [each for each in pf["references"] if each != asked["-X"]]}
        pf["enabled"] = bool(pf["references"])
    if "-F" in asked and anchor:
        pf = pf | {"anchors": {k: v for k, v in pf["anchors"].items() if k != anchor}}
    if "-f" in asked:
        text = sys.stdin.read() if asked["-f"] == "-" else Path(asked["-f"]).read_text()
        rules = [_printed(line) for line in text.splitlines() if line.strip()]
        if not all(rules):
            where = f"stdin:{rules.index('') + 1}" if asked["-f"] == "-" else asked["-f"]
            return fail(
                f"{where}: syntax error\npfctl: Syntax error in config file: pf rules not loaded"
            )
        if anchor is None:
            pf = pf | {"anchors": {}, "main": rules}  # and macOS's own are gone, too
        elif "pfctl" not in mac.facts["lies"]:
            pf = pf | {"anchors": pf["anchors"] | {anchor: rules}}
    if "-E" in asked:
        token = str(max([14107300000000000000, *map(int, pf["references"])]) + 1)
        pf = pf | {"enabled": True, "references": [*pf["references"], token]}
        sys.stderr.write(f"pf enabled\nToken : {token}\n")
    if "-d" in asked:
        pf = pf | {"enabled": False}
    mac.set(pf=pf)
    return 0


def _show(pf: dict[str, object], what: str, anchor: str | None) -> int:
    if what == "info":
        on = f"Enabled for 0 days 00:01:02{'':<11}" if pf["enabled"] else f"Disabled{'':<31}"
        print(f"Status: {on}Debug: Urgent")
    elif what in ("r", "rules"):
        anchors: dict[str, list[str]] = pf["anchors"]  # type: ignore[assignment]
        rules = anchors.get(anchor, []) if anchor else pf.get("main", STOCK)
        print("".join(f"{rule}\n" for rule in rules), end="")  # type: ignore[attr-defined]
    return 0


def _printed(rule: str) -> str:
    """A rule as pfctl shows it again (print_rule of pfctl_parser.c); "" for one that is none."""
    match = re.fullmatch(
        r"(pass|block drop) in quick( on lo0)? proto tcp from (\S+) to any port =? ?(\d+)", rule
    )
    if not match:
        return ""
    action, interface, source, port = match.groups(default="")
    family = ""
    if source != "any":
        network = ipaddress.ip_network(source)
        family = " inet" if network.version == 4 else " inet6"
        alone = network.num_addresses == 1
        source = str(network.network_address) if alone else str(network)
    state = " flags S/SA keep state" if action == "pass" else ""
    return (
        f"{action} in quick{interface}{family} proto tcp from {source} to any port = {port}{state}"
    )
