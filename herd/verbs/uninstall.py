"""`make uninstall`: what the toolkit put on the Macs goes again, once somebody said so."""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence

from herd.connections.remote import RemoteError, hosts
from herd.verbs.machine_readable import document
from herd.verbs.roll.runs import became
from herd.workstation.toolkit import ROOT


def uninstall(inventory: str, limits: Sequence[str], options: argparse.Namespace) -> bool:
    """Take a stack off the chosen hosts; False when whoever was asked does not want to."""
    _, chosen = hosts(inventory, limits)
    if not (options.yes or options.dry) and not _agreed([host.name for host in chosen], options):
        print("Nothing was changed.", file=sys.stderr)
        return False
    data = [
        word
        for name in ("models", "packages")
        if getattr(options, name)
        for word in ("--data", f"uninstall_{name}=true")
    ]
    how = ["--dry" if options.dry else "-y", *(["--json"] if options.json else [])]
    words = [*how, *data, *(f"--limit={limit}" for limit in limits), "--", inventory]
    config = f"--config={ROOT / 'config.py'}"
    # pyinfra, in a process of its own: the inventory has been read here already.
    command = [sys.executable, "-m", "pyinfra", config, *words, str(ROOT / "uninstall.py")]
    sys.stdout.flush()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    if not options.json:
        os.execve(sys.executable, command, environment)
    ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False)
    told, lost = became([host.name for host in chosen], ended.stdout, dry=options.dry)
    print(document("uninstall", told, lost))
    return ended.returncode == 0


def _agreed(names: Sequence[str], options: argparse.Namespace) -> bool:
    print(f"This takes Llama Herd off {', '.join(names)}: services, proxy, keys, books, logs.")
    going = [name for name in ("models", "packages") if getattr(options, name)]
    staying = [name for name in ("models", "packages") if name not in going]
    if going:
        print(f"With it go the {' and the '.join(going)} that a deploy fetched or installed.")
    if staying:
        flags = " ".join(f"--{name}" for name in staying)
        print(f"The {' and the '.join(staying)} stay, unless you say {flags}.")
    try:
        return input("Go on? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()
        raise RemoteError("nobody is there to agree: say --yes, or --dry to look only") from None
