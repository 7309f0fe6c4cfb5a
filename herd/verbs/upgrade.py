"""`make upgrade` and `make rollback`: over a herd one Mac at a time, and no further than the first
that fails.

Each is a run of pyinfra of its own, which drains the Mac, changes it, has it answer, and puts back
what served before where that does not come up.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

from herd import plan
from herd.connections.remote import hosts
from herd.verbs import chat
from herd.verbs.machine_readable import document
from herd.workstation import api_keys
from herd.workstation.toolkit import ROOT

CANARY = "canary"
"""The group whose Macs come first."""

RUNS = {"upgrade": ["--data", "homebrew_upgrade=true", "deploy.py"], "rollback": ["rollback.py"]}


DONE, FAILED, LEFT = "done", "failed", "left"
"""What became of a host: the last is one that was not begun, as another failed before it."""


def roll(
    verb: str, inventory: str, limits: Sequence[str], more: Sequence[str], *, json_wanted: bool
) -> bool:
    """One of RUNS on each chosen host, with further options of pyinfra's; whether all went well.

    For a program, what people read goes to stderr.
    """
    with redirect_stdout(sys.stderr if json_wanted else sys.stdout):
        told = _roll(verb, inventory, limits, more, json_wanted=json_wanted)
    if json_wanted:
        print(document(verb, told, {}))
    return all(each["outcome"] == DONE for each in told.values())


def _roll(
    verb: str, inventory: str, limits: Sequence[str], more: Sequence[str], *, json_wanted: bool
) -> dict[str, Any]:
    """What became of each host, in the order in which they are begun."""
    state, chosen = hosts(inventory, limits)
    plan.settings_of(state.inventory)  # what is wrong with any is said before the first is touched
    order = sorted(chosen, key=lambda host: CANARY not in host.groups)
    names = [host.name for host in order]
    told: dict[str, Any] = {name: {"outcome": LEFT} for name in names}
    for number, host in enumerate(order):
        print(f"==> {verb} of {host.name}, {number + 1} of {len(order)}", flush=True)
        ok, operations = _run(verb, inventory, host.name, more, json_wanted=json_wanted)
        ok = ok and _answers(inventory, host, more)
        told[host.name] = {"outcome": DONE if ok else FAILED, **operations}
        if not ok:
            rest = ", ".join(names[number + 1 :])
            print(f"{verb} ends with {host.name}: what failed is above.", file=sys.stderr)
            for what, which in (("done", names[:number]), ("left as they are", [rest])):
                if words := ", ".join(filter(None, which)):
                    print(f"  {what}: {words}", file=sys.stderr)
            break
    return told


def _run(
    verb: str, inventory: str, name: str, more: Sequence[str], *, json_wanted: bool
) -> tuple[bool, dict[str, Any]]:
    """Whether it went well and, for a program, the operations that changed something or failed."""
    *data, file = RUNS[verb]
    pyinfra = [sys.executable, "-m", "pyinfra", f"--config={ROOT / 'config.py'}", "-y"]
    how = ["--json"] if json_wanted else []
    words = [*pyinfra, *how, *data, f"--limit={name}", *more, "--", inventory, str(ROOT / file)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    out = subprocess.PIPE if json_wanted else None
    done = subprocess.run(words, env=environment, check=False, stdout=out)
    return done.returncode == 0, _operations(done.stdout, name) if json_wanted else {}


def _operations(said: bytes, name: str) -> dict[str, Any]:
    """Of pyinfra's own `--json`; one that could not begin says nothing there."""
    try:
        every = json.loads(said)["results"]["operations"]
    except (ValueError, KeyError):
        every = []
    changed, failed = (
        [one["name"] for one in every if name in one[word]] for word in ("success", "error")
    )
    return {"changed": changed, "failed": failed[:1]}  # what comes behind was not begun


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
    closed = settings.serves and not any(map(held.may_use, settings.models))
    if held.secret is None or closed:
        print(f"[{name}] not asked from here: {held.lacking or 'no model is open to this key'}")
        return True
    return chat.chat(inventory, [name], "Say hello.", model=None, stream=True)
