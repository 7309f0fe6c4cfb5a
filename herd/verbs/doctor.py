"""`make doctor`: what an expert would look at, as findings with evidence and fix."""

import shutil
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace

from pyinfra.api import QuoteString, StringCommand

from herd.connections.remote import Remote, ask, each
from herd.core.mac.archives import bundle
from herd.core.mac.job_definitions import jobs_of, listens_on
from herd.core.mac.launchd import Job
from herd.core.mac.symptoms import Symptoms
from herd.core.text.harmless import harmless
from herd.core.text.secret import key_options
from herd.diagnosis import findings
from herd.diagnosis.finding import CLOSE, START, UNQUARANTINE, Finding, Patient
from herd.facts.answers import Answers, Served
from herd.facts.gathered import Question
from herd.facts.listeners import Listener, Listeners
from herd.facts.models import Models
from herd.facts.proxy import Availability
from herd.facts.symptoms import Shown
from herd.verbs import drift, gateway_rows, start_stop
from herd.verbs.drift import Drift
from herd.verbs.machine_readable import document
from herd.verbs.status import (
    elsewhere,
    health,
    job_of,
    jobs_ask,
    key_held,
    locked,
    why_no_model,
    why_no_model_asks,
)
from herd.workstation import api_keys, certificate_files
from herd.workstation.herd_directory import directory
from herd.workstation.typed_commands import as_typed


def doctor(
    remotes: Sequence[Remote], *, lost: Mapping[str, str], fix: bool, json_wanted: bool
) -> bool:
    """Findings of each host; whether there are none, or none any more after `fix`."""
    found = _examine(remotes)
    if fix and any(each.mend for several in found.values() for each in several):
        _mend([remote for remote in remotes if remote.host.name in found], found)
        found = _examine(remotes)
    said = {name: [asdict(each) for each in several] for name, several in found.items()}
    if json_wanted:
        print(document("doctor", said, lost))
    else:
        for name, several in found.items():
            print("\n".join(_page(name, several)))
    return len(found) == len(remotes) and not any(found.values())


def _examine(remotes: Sequence[Remote]) -> dict[str, list[Finding]]:
    incomparable = drift.comparable(remotes)
    found: dict[str, list[Finding]] = {}

    def asks(remote: Remote) -> Iterator[Question]:
        yield from _asks(remote)
        yield from () if incomparable else drift.questions(remote)

    def look(remote: Remote) -> bool:
        seen = Drift(unknown=incomparable)
        if not incomparable:
            seen = drift.compare(remote, _served(remote))
        several = findings(_patient(remote, seen))
        found[remote.host.name] = [replace(one, fix=as_typed(one.fix)) for one in several]
        return True

    ask(remotes, asks)
    each(remotes, look)
    return found


def _asks(remote: Remote) -> Iterator[Question]:
    held, pin = key_held(remote.settings, remote.inventory)
    yield Question(Answers, layout=remote.layout, pin=pin, _stdin=key_options(held.secret))
    yield Question(Listeners, ports=list(remote.layout.ports))
    yield Question(Models, directory=remote.layout.models)
    yield health.question(remote)
    yield Question(Shown, layout=remote.layout)
    yield from why_no_model_asks(remote)
    yield Question(Availability, path=remote.layout.availability)
    yield from gateway_rows.asks(remote, held)
    yield from jobs_ask(remote)


def _patient(remote: Remote, seen: Drift) -> Patient:
    settings, layout = remote.settings, remote.layout
    held, _ = key_held(settings, remote.inventory)
    there = remote.ask(Models, directory=layout.models)
    symptoms = remote.ask(Shown, layout=layout)
    jobs = {name: job_of(remote, name) for name in jobs_of(layout)}
    listeners = remote.ask(Listeners, ports=list(layout.ports))
    return Patient(
        layout=layout,
        mac=remote.mac,
        served=_served(remote),
        jobs=jobs,
        listeners=listeners,
        elsewhere=_elsewhere(remote, jobs, listeners),
        vitals=health.vitals_of(remote),
        symptoms=symptoms,
        edited=_edited(symptoms),
        closed=remote.ask(Availability, path=layout.availability),
        server=why_no_model(remote) or "",
        disk_free=remote.mac.disk_free if there.free is None else there.free,
        gateway=gateway_rows.complaint(remote, held) or "",
        unheard=gateway_rows.unheard(remote),
        unfit=[model.name for model in locked(remote) if model.pending(there)],
        expiries=_expiries(remote),
        certificate=_certificate(remote),
        changes=seen.changes,
        running=seen.running,
        problems=seen.problems,
        now=time.time(),
    )


def _edited(symptoms: Symptoms) -> list[str]:
    wanted, there = bundle().sums, symptoms.code
    return sorted(name for name in wanted if there and there.get(name) != wanted[name])


def _elsewhere(
    remote: Remote, jobs: Mapping[str, Job | None], listeners: Mapping[int, Listener]
) -> dict[str, str]:
    ports = listens_on(remote.settings)
    found = {
        name: elsewhere(remote, name, listener)
        for name, job in jobs.items()
        if not (job and job.pid) and (listener := listeners.get(ports[name]))
    }
    return {name: kind for name, kind in found.items() if kind}


def _served(remote: Remote) -> Served:
    held, pin = key_held(remote.settings, remote.inventory)
    return remote.ask(Answers, layout=remote.layout, pin=pin, _stdin=key_options(held.secret))


def _expiries(remote: Remote) -> dict[str, float]:
    with suppress(ValueError):
        shipped = api_keys.shipped(remote.settings, api_keys.beside(remote.inventory))
        return {key.name: key.expires for key in shipped.keys.entries if key.expires}
    return {}


def _certificate(remote: Remote) -> float | None:
    with suppress(ValueError):
        shown = certificate_files.shown(remote.settings, directory(remote.inventory))
        return certificate_files.end(shown)
    return None


def _mend(remotes: Sequence[Remote], found: Mapping[str, Sequence[Finding]]) -> None:
    """What is safe, and no more: what lies down is started, what is ignored is not any more."""
    wanted = {name: {each.mend for each in several} for name, several in found.items()}

    def unquarantine(remote: Remote) -> bool:
        shown = remote.ask(Shown, layout=remote.layout)
        paths = [QuoteString(path) for path in shown.quarantined]
        command = StringCommand("xattr -d com.apple.quarantine", *paths)
        return remote.say(*remote.run(command), success="property lists are taken again")

    def close(remote: Remote) -> bool:
        shown = remote.ask(Shown, layout=remote.layout)
        command = StringCommand("chmod 600", *map(QuoteString, shown.readable))
        return remote.say(*remote.run(command), success="others cannot read the files any more")

    each([r for r in remotes if UNQUARANTINE in wanted[r.host.name]], unquarantine)
    each([r for r in remotes if CLOSE in wanted[r.host.name]], close)
    start_stop.start([r for r in remotes if START in wanted[r.host.name]])
    time.sleep(_SETTLES)
    for remote in remotes:
        remote.forget()


_SETTLES = 3
"""Seconds after which what was started answers, if it will."""


def _page(name: str, several: Sequence[Finding]) -> Iterator[str]:
    """For a person, as wide as the terminal."""
    if not several:
        yield f"{name}  nothing found"
        return
    yield f"{name}  {len(several)} finding{'' if len(several) == 1 else 's'}"
    # As wide as may be where nobody reads it: another program may look for words.
    width = min(shutil.get_terminal_size((100, 24)).columns, 100) if sys.stdout.isatty() else 10000
    for one in several:
        yield f"  {one.name}"
        yield from _wrapped("found", one.evidence, width)
        yield from _wrapped("fix", one.fix, width)


def _wrapped(label: str, text: str, width: int) -> list[str]:
    first, rest = f"    {label:<7}", " " * 11
    return textwrap.wrap(
        harmless(text),
        max(40, width),
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
