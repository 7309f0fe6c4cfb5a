"""Settings of the Mac itself that a deploy keeps: what they are, what they are to be, what changes
them, and what each was before it was changed first.

None of them is looked at that the settings do not ask for. A setting has a name ("AC Power: sleep",
"updates: SplatEnabled", "firewall: /opt/...") and a value as text; each kind has a file beside this
one, which reads the tool's words and knows its commands.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from herd.core.mac import (
    application_firewall,
    packet_filter,
    power,
    software_updates,
    wired_limit,
)
from herd.core.mac.application_firewall import Firewall
from herd.core.mac.layout import Layout
from herd.core.mac.packet_filter import Filter
from herd.core.mac.power import Power
from herd.core.mac.preflight import without_root
from herd.core.mac.root_command import Command
from herd.core.mac.software_updates import Updates
from herd.core.settings.problems import Problem
from herd.core.settings.schema import Settings

POWER, UPDATES, FIREWALL, WIRED, NETWORKS = "power", "updates", "firewall", "wired", "networks"
_LOGS = "newsyslog"
KINDS = (POWER, UPDATES, FIREWALL)
"""Those whose settings are each a name and a value; the others are jobs of root."""

WIRED_LIMIT = f"sysctl: {wired_limit.OID}"
"""The name under which it is noted what that was."""
JOB, ABSENT = "job: ", "absent"
"""The same of a job of ours, before which there was none: this, and its label."""


def in_use(settings: Settings) -> tuple[str, ...]:
    """The kinds that settings ask for."""
    asked = {
        POWER: (
            settings.mac_sleep,
            settings.mac_restart_after_power_loss,
            settings.mac_wake_on_lan,
        ),
        UPDATES: (settings.mac_automatic_updates,),
        FIREWALL: (settings.mac_firewall_exception,),
        WIRED: (settings.mac_gpu_wired_limit_mb,),
        NETWORKS: (settings.mac_networks,),
    }
    return tuple(kind for kind, values in asked.items() if any(v is not None for v in values))


def asked(layout: Layout, kinds: Iterable[str] | None = None) -> list[str]:
    """The words for scripts/look/mac-settings.sh: of some kinds, else of what the settings ask for,
    and no more."""
    more = {
        FIREWALL: application_firewall.asked(layout),
        NETWORKS: [packet_filter.anchor(layout)],
    }
    chosen = list(in_use(layout.settings) if kinds is None else kinds)
    more[_LOGS] = [layout.root]
    chosen += [_LOGS] if chosen else []
    return [word for kind in chosen for word in (kind, *more.get(kind, ()))]


@dataclass(frozen=True)
class State:
    """What was asked about, each None where it was not. `newsyslog` are files by which that renames
    logs of the stack; `unread` has what could not be told, by
    kind: sudo's own words, or that a tool speaks otherwise than any that we know."""

    power: Power | None = None
    updates: Updates | None = None
    firewall: Firewall | None = None
    wired: int | None = None
    networks: Filter | None = None
    newsyslog: Sequence[str] = ()
    unread: Mapping[str, str] = field(default_factory=dict)

    def value(self, name: str) -> str | None:
        """What a setting is; None where nobody can tell."""
        if power.owns(name):
            return self.power.value(name) if self.power else None
        if software_updates.owns(name):
            return self.updates.value(name) if self.updates else None
        if application_firewall.owns(name):
            return self.firewall.value(name) if self.firewall else None
        return None if self.wired is None or name != WIRED_LIMIT else str(self.wired)


def wanted(kind: str, settings: Settings, state: State, macos: Sequence[int]) -> dict[str, str]:
    """What is to hold of one of KINDS, by name."""
    if kind == POWER and state.power:
        return power.wanted(settings, state.power)
    if kind == UPDATES and state.updates:
        return software_updates.wanted(settings, state.updates, macos)
    if kind == FIREWALL and state.firewall:
        return application_firewall.wanted(settings, state.firewall)
    return {}


def jobs(layout: Layout) -> list[dict[str, Any]]:
    """The jobs of root that do at each start of the Mac what it forgets."""
    limit = layout.settings.mac_gpu_wired_limit_mb
    found = [] if limit is None else [wired_limit.job(limit)]
    return found if layout.settings.mac_networks is None else [*found, packet_filter.job(layout)]


def root(layout: Layout) -> Iterator[Command]:
    """What only root may do of all that is kept."""
    kinds = in_use(layout.settings)
    if POWER in kinds:
        yield from power.root(layout.settings)
    if UPDATES in kinds:
        yield from software_updates.root()
    if FIREWALL in kinds:
        yield from application_firewall.root(layout)
    if WIRED in kinds:
        yield from wired_limit.root()
    if NETWORKS in kinds:
        yield from packet_filter.root(layout)


@dataclass(frozen=True)
class Change:
    """One setting that is otherwise than wanted."""

    name: str
    is_now: str
    wanted: str

    @property
    def commands(self) -> list[list[str]]:
        """What makes it so, as root."""
        return commands(self.name, self.wanted)


def changes(want: Mapping[str, str], state: State) -> list[Change]:
    """Those that are not as wanted; what nobody can tell is none."""
    pairs = ((name, state.value(name), value) for name, value in want.items())
    return [Change(name, now, value) for name, now, value in pairs if now not in (None, value)]


def commands(name: str, value: str) -> list[list[str]]:
    """What gives a setting a value, as root. Raises ValueError for a name of no kind."""
    if power.owns(name):
        return power.commands(name, value)
    if software_updates.owns(name):
        return software_updates.commands(name, value)
    if application_firewall.owns(name):
        return application_firewall.commands(name, value)
    if name == WIRED_LIMIT:
        return [[wired_limit.SYSCTL, f"{wired_limit.OID}={int(value)}"]]
    raise ValueError(f"no setting of the Mac: {name!r}")


def untaken(left: Iterable[Change]) -> str | None:
    """What to say of changes that their tools said they had made."""
    told = [f"{each.name} is {each.is_now} still, not {each.wanted}" for each in left]
    return f"The Mac did not take it: {'; '.join(told)}." if told else None


def problems(settings: Settings, state: State, memory: int) -> Iterator[Problem]:
    """What stands in the way of the settings, before any of them is changed."""
    if refused := next((words for words in state.unread.values() if "sudo:" in words), None):
        yield without_root(refused)  # the same that preflight says, so it is told once
    for kind, words in state.unread.items():
        if "sudo:" not in words:
            fix = "deploy without that setting, and tell us what the tool says now."
            yield Problem(f"the Mac's {kind}", f"It cannot be read: {words}", fix, kind="mac")
    if state.power:
        yield from power.problems(settings, state.power)
    if state.updates:
        yield from software_updates.problems(settings, state.updates)
    if state.firewall:
        yield from application_firewall.problems(settings, state.firewall)
    if state.networks:
        yield from packet_filter.problems(state.networks)
    yield from wired_limit.problems(settings, memory)
    for file in state.newsyslog:
        yield Problem(
            file,
            "It has newsyslog rename logs of the stack, which launchd keeps open: both jobs would "
            "write into the renamed file for ever.",
            "remove its lines about them; the proxy keeps both small (proxy_log_max_mb).",
            kind="mac",
        )


def parse_record(lines: Iterable[str]) -> dict[str, str]:
    """What each setting was before it was changed first: a name, a tab and a value a line."""
    before: dict[str, str] = {}
    for line in lines:
        name, tab, value = line.partition("\t")
        if tab:
            before.setdefault(name, value)
    return before


def jobs_in(names: Iterable[str]) -> list[str]:
    """Labels of the jobs that a deploy made."""
    return [name.removeprefix(JOB) for name in names if name.startswith(JOB)]


def kinds_of(names: Iterable[str]) -> tuple[str, ...]:
    """The kinds to ask about, to know what these settings are."""
    owners = {
        POWER: power.owns,
        UPDATES: software_updates.owns,
        FIREWALL: application_firewall.owns,
        WIRED: WIRED_LIMIT.__eq__,
    }
    names = list(names)
    return tuple(kind for kind, owns in owners.items() if any(map(owns, names)))
