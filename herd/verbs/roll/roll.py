"""A roll from its beginning to its end: a change goes through the herd from Mac to Mac, and no
further than the first that fails.

Each Mac has a run of pyinfra of its own, which drains it, changes it, has a model answer, and lets
requests in again, or puts back what served before. Behind a gateway the herd is one service: before
a Mac is touched others have to be there for what it serves, and before the next one is, the gateway
has to send it requests again.
"""

import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass, field
from typing import Any

from herd import plan
from herd.connections.remote import hosts
from herd.core.roll.waves import LastCopy, Member, in_order, last_copies, next_wave, single_copies
from herd.verbs import chat
from herd.verbs.machine_readable import DONE, FAILED, document
from herd.verbs.roll import look, runs
from herd.workstation import api_keys

LEFT = "left"
"""What became of a host that was not begun."""


@dataclass
class Roll:
    """One roll: what was asked for, and what has become of each Mac."""

    verb: str
    inventory: str
    more: Sequence[str]
    parallel: int = 1
    accept_outage: bool = False
    json_wanted: bool = False
    became: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def dry(self) -> bool:
        """Whether pyinfra only says what it would do."""
        return "--dry" in self.more


def _say(text: str, *, wrong: bool = False) -> None:
    print(text, file=sys.stderr if wrong else sys.stdout, flush=True)


def roll(
    verb: str, inventory: str, limits: Sequence[str], more: Sequence[str], **wanted: Any
) -> bool:
    """One of `runs.RUNS` on each chosen host, with further options of pyinfra's; whether all went
    well. `wanted` are fields of Roll."""
    this = Roll(verb, inventory, more, **wanted)
    state, chosen = hosts(inventory, limits)
    plan.settings_of(state.inventory)  # what is wrong with any is said before the first is touched
    # For a program, what people read goes to stderr.
    to = redirect_stdout(sys.stderr) if this.json_wanted else nullcontext()
    with to, runs.only_one(inventory) as running:
        well = _roll(this, [host.name for host in chosen], running)
    if this.json_wanted:
        print(document(verb, this.became, {}))
    if running.interrupted and not well:
        raise KeyboardInterrupt
    return well


def _roll(this: Roll, chosen: Sequence[str], running: runs.Running) -> bool:
    herd = look.herd(this.inventory, chosen, asked=not this.dry)
    one_service = not this.dry and any(member.gateway for member in herd)
    waiting = in_order(member for member in herd if member.name in chosen)
    this.became |= {member.name: {"outcome": LEFT} for member in waiting}
    if one_service and (why := _refused(this, single_copies(waiting, herd), SINGLE)):
        return _ended(this, why)
    while waiting:
        wave = next_wave(waiting, herd, this.parallel)
        missed = [copy for copy in last_copies(wave, herd) if copy.others]
        if one_service and (why := _refused(this, missed, MISSED)):
            return _ended(this, why)
        waiting = [member for member in waiting if member not in wave]
        names = [member.name for member in wave]
        at = len(chosen) - len(waiting) - len(wave) + 1
        _say(f"==> {this.verb} of {', '.join(names)}, {at} of {len(chosen)}")
        if failed := _changed(this, wave, running):
            who = ", ".join(failed)
            return _ended(this, [f"{this.verb} ends with {who}: what failed is above."])
        if waiting and running.interrupted:
            return _ended(this, [f"{this.verb} ends here, as it was interrupted."])
        if one_service or (waiting and not this.dry):
            herd, why = _back(this, chosen, names)
            if why:
                return _ended(this, why)
            now = {member.name: member for member in herd}
            waiting = [now[member.name] for member in waiting]
    return True


def _changed(this: Roll, wave: Sequence[Member], running: runs.Running) -> list[str]:
    """Changes Macs at the same time; those that failed."""
    began = time.monotonic()
    names = [member.name for member in wave]
    ended = running.run(this.verb, this.inventory, names, this.more, told=this.json_wanted)
    for member in wave:
        run = ended[member.name]
        if not run.well and not this.dry:
            look.mend(this.inventory, member.name, say=lambda text: _say(text, wrong=True))
        well = run.well and (this.dry or look.is_owners(member.out) or _answers(this, member.name))
        seconds = round(time.monotonic() - began, 1)
        this.became[member.name] = {
            "outcome": DONE if well else FAILED,
            "seconds": seconds,
            **run.operations,
        }
    return [name for name in names if this.became[name]["outcome"] == FAILED]


def _answers(this: Roll, name: str) -> bool:
    """Whether a model answers to this workstation, too, where there is a key to ask it with."""
    _, (host,) = hosts(this.inventory, [name])
    settings = plan.settings_of([host])[name]
    if settings.launchd_autostart == "off":
        return True
    try:
        held = api_keys.shipped(settings, api_keys.beside(this.inventory)).held()
    except ValueError:
        return True  # the run has said so
    closed = settings.serves and not any(map(held.may_use, settings.models))
    if held.secret is None or closed:
        _say(f"[{name}] not asked from here: {held.lacking or 'no model is open to this key'}")
        return True
    return chat.chat(this.inventory, [name], "Say hello.", model=None, stream=True)


SINGLE = "Have another Mac serve it, too, or say --accept-outage."
MISSED = "Have another Mac serve it again, or say --accept-outage."


def _refused(this: Roll, missed: Sequence[LastCopy], mend: str) -> list[str]:
    """Why it does not go on where nobody would serve something; it is said anyway."""
    told = [f"{copy}, so requests for it are refused meanwhile." for copy in missed]
    if told and not this.accept_outage:
        return [*told, mend]
    for line in told:
        _say(line)
    return []


def _back(
    this: Roll, chosen: Sequence[str], names: Sequence[str]
) -> tuple[list[Member], list[str]]:
    """The herd once these serve again in it, and why some do not."""
    end = time.monotonic() + look.PATIENCE
    while True:
        herd = look.herd(this.inventory, chosen)
        lost = [member for member in herd if member.name in names and member.missed]
        if not lost or time.monotonic() > end:
            return herd, [f"{member.name} takes no requests: {member.out}." for member in lost]
        time.sleep(look.PAUSE)


def _ended(this: Roll, why: Sequence[str]) -> bool:
    for line in why:
        _say(line, wrong=True)
    for outcome, words in ((DONE, "done"), (LEFT, "left as they are")):
        if names := [name for name, each in this.became.items() if each["outcome"] == outcome]:
            _say(f"  {words}: {', '.join(names)}", wrong=True)
    if not any(each["outcome"] == FAILED for each in this.became.values()):
        for each in this.became.values():
            each |= {"why": " ".join(why)} if each["outcome"] == LEFT else {}
    return False
