"""A finding, and what is known of the Mac that it is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from herd.core.mac.launchd import Job
from herd.core.mac.layout import Layout
from herd.core.mac.mac import Identity
from herd.core.mac.symptoms import Symptoms
from herd.core.mac.vitals import Vitals
from herd.core.settings.problems import Problem
from herd.facts.answers import Served
from herd.facts.listeners import Listener

DAY = 86400


@dataclass(frozen=True)
class Finding:
    """`name` is the kind ("port-in-use"), `evidence` what shows it on this Mac, `fix` what to do.

    `mend` names what `make doctor ARGS=--fix` does about it, "" where that is for a person.
    """

    name: str
    evidence: str
    fix: str
    mend: str = ""


START, UNQUARANTINE, CLOSE = "start", "unquarantine", "close"
"""What is safe to do: neither stops what runs, nor takes anything away."""


@dataclass(frozen=True)
class Patient:
    """A Mac as it was found. `now` is the workstation's clock, in seconds since 1970.

    `gateway` says what is wrong with the endpoint of all Macs, where this one is it; `unheard` are
    other gateways that do not tell it what they let in.
    `closed` is what its owner said of new requests, where they are not taken, and `server` why no
    model can start, as `make status` has it.
    `elsewhere` are services that run as jobs of the other domain, with what they are there.
    `edited` are files of the proxy that are not as this toolkit has them.
    `unfit` are models whose files are missing or changed. `expiries` has the end of each key that
    has one, `certificate` that of the proxy's certificate. `changes` and `problems` are what a
    deploy would do, or complain of, `running` how models run otherwise than declared.
    """

    layout: Layout
    mac: Identity
    served: Served
    jobs: Mapping[str, Job | None]
    listeners: Mapping[int, Listener] = field(default_factory=dict)
    vitals: Vitals = field(default_factory=Vitals)
    symptoms: Symptoms = field(default_factory=Symptoms)
    disk_free: int | None = None
    gateway: str = ""
    unheard: Sequence[str] = ()
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    edited: Sequence[str] = ()
    closed: str = ""
    server: str = ""
    unfit: Sequence[str] = ()
    expiries: Mapping[str, float] = field(default_factory=dict)
    certificate: float | None = None
    changes: Sequence[str] = ()
    running: Sequence[str] = ()
    problems: Sequence[Problem] = ()
    now: float = 0.0
