"""`make upgrade` and `make rollback`: over a herd one Mac at a time, and no further than the first
that fails.

Each is a run of pyinfra of its own, which drains the Mac, changes it, has it answer, and puts back
what served before where that does not come up.
"""

import os
import subprocess
import sys
from collections.abc import Sequence

from herd import plan
from herd.connections.remote import hosts
from herd.verbs import chat
from herd.workstation import api_keys
from herd.workstation.toolkit import ROOT

CANARY = "canary"
"""The group whose Macs come first."""

RUNS = {"upgrade": ["--data", "homebrew_upgrade=true", "deploy.py"], "rollback": ["rollback.py"]}


def roll(verb: str, inventory: str, limits: Sequence[str], more: Sequence[str]) -> bool:
    """One of RUNS on each chosen host, with further options of pyinfra's; whether all went well."""
    state, chosen = hosts(inventory, limits)
    plan.settings_of(state.inventory)  # what is wrong with any is said before the first is touched
    order = sorted(chosen, key=lambda host: CANARY not in host.groups)
    names = [host.name for host in order]
    for number, host in enumerate(order):
        print(f"==> {verb} of {host.name}, {number + 1} of {len(order)}", flush=True)
        if not (_run(verb, inventory, host.name, more) and _answers(inventory, host, more)):
            rest = ", ".join(names[number + 1 :])
            print(f"{verb} ends with {host.name}: what failed is above.", file=sys.stderr)
            for what, which in (("done", names[:number]), ("left as they are", [rest])):
                if told := ", ".join(filter(None, which)):
                    print(f"  {what}: {told}", file=sys.stderr)
            return False
    return True


def _run(verb: str, inventory: str, name: str, more: Sequence[str]) -> bool:
    *data, file = RUNS[verb]
    pyinfra = [sys.executable, "-m", "pyinfra", f"--config={ROOT / 'config.py'}", "-y"]
    words = [*pyinfra, *data, f"--limit={name}", *more, "--", inventory, str(ROOT / file)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    return subprocess.run(words, env=environment, check=False).returncode == 0


def _answers(inventory: str, host: object, more: Sequence[str]) -> bool:
    """Whether a model answers to this workstation, too, where there is a key to ask it with."""
    name = getattr(host, "name", "")
    settings = plan.settings_of([host])[name]  # type: ignore[list-item]
    if "--dry" in more or settings.launchd_autostart == "off":
        return True
    try:
        held = api_keys.shipped(settings, api_keys.beside(inventory)).held()
    except ValueError:
        return True  # the run has said so
    if held.secret is None or not any(map(held.may_use, settings.models)):
        print(f"[{name}] not asked from here: {held.lacking or 'no model is open to this key'}")
        return True
    return chat.chat(inventory, [name], "Say hello.", model=None, stream=True)
