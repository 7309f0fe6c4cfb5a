"""How a Mac is, beside what it serves: since when all runs, memory, disk, the last deploy."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict

from herd.connections.remote import Remote
from herd.core.mac.deploy_record import Deployed
from herd.core.mac.launchd import Job
from herd.core.mac.vitals import Vitals
from herd.core.models.missing_files import Holdings
from herd.core.text.units import duration, gib
from herd.facts.deploy_record import LastDeploy
from herd.facts.gathered import Question
from herd.facts.vitals import Vital
from herd.verbs.told import Told


def asks(remote: Remote) -> Iterator[Question]:
    """What `tell` asks."""
    yield question(remote)
    yield Question(LastDeploy, path=remote.layout.last_deploy)


def question(remote: Remote) -> Question:
    """How it is just now."""
    return Question(Vital, root=remote.layout.root, homebrew_prefix=_prefix(remote))


def vitals_of(remote: Remote) -> Vitals:
    """The answer."""
    return remote.ask(Vital, root=remote.layout.root, homebrew_prefix=_prefix(remote))


def _prefix(remote: Remote) -> str:
    return remote.settings.homebrew_prefix


def tell(told: Told, remote: Remote, jobs: Mapping[str, Job | None], there: Holdings) -> None:
    """Rows of it."""
    vitals = vitals_of(remote)
    deployed = remote.ask(LastDeploy, path=remote.layout.last_deploy)
    if since := ", ".join(_since(vitals, jobs)):
        told.row("up", since)
    told.row("memory", ", ".join(_memory(remote.mac.memory, vitals)))
    if heat := ", ".join(_heat(vitals)):
        told.row("heat", heat)
    if power := ", ".join(_power(vitals)):
        told.row("power", power)
    free = remote.mac.disk_free if there.free is None else there.free
    used = sum(stat.size for stat in there.files.values())
    told.row("disk", f"{gib(used)} of models, {gib(free)} free")
    told.row("deployed", _deployed(deployed))
    told.add(
        vitals=asdict(vitals),
        memory=remote.mac.memory,
        disk={"models": used, "free": free},
        last_deploy=deployed and asdict(deployed),
    )


def _since(vitals: Vitals, jobs: Mapping[str, Job | None]) -> Iterator[str]:
    for name, job in jobs.items():
        if job and job.pid and job.pid in vitals.ages:
            yield f"{name} {duration(vitals.ages[job.pid])}"
    if vitals.booted is not None:
        yield f"the Mac {duration(vitals.booted)}"


def _memory(total: int, vitals: Vitals) -> Iterator[str]:
    yield gib(total)
    if vitals.wired is not None:
        yield f"{gib(vitals.wired)} wired"
    if vitals.compressed:
        yield f"{gib(vitals.compressed)} compressed"
    if vitals.swap_used:
        yield f"{gib(vitals.swap_used)} in swap"
    if vitals.pressure_word:
        yield f"pressure {vitals.pressure_word}"
    if vitals.gpu is not None:
        yield f"GPU {vitals.gpu} % busy"


def _heat(vitals: Vitals) -> Iterator[str]:
    if vitals.celsius is not None:
        yield f"{vitals.celsius:.0f} °C"
    yield from vitals.throttled


def _power(vitals: Vitals) -> Iterator[str]:
    """Of a Mac on the mains without a battery there is nothing to say, but for what it takes."""
    if vitals.charge is not None or vitals.on_mains is False:
        yield {"AC Power": "mains", "Battery Power": "battery"}.get(vitals.source, vitals.source)
    if vitals.charge is not None:
        yield f"{vitals.charge} % charged"
    if vitals.watts is not None:
        yield f"{vitals.watts:.0f} W"


def _deployed(deployed: Deployed | None) -> str:
    if deployed is None:
        return "never, or by an older version"
    of = f" at {deployed.herd}" if deployed.herd else ""
    toolkit = f", toolkit {deployed.toolkit}" if deployed.toolkit != deployed.herd else ""
    return f"{deployed.when} by {deployed.by}{of}{toolkit}"
