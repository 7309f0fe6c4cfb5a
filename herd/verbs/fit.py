"""`make fit`: what the models take of a Mac's memory, and whether they fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from herd import plan
from herd.connections.remote import Remote, RemoteError, hosts, read
from herd.core.mac import wired_limit
from herd.core.models.memory_fixes import fixes
from herd.core.models.memory_sum import Limits, Sum
from herd.core.models.missing_files import Resolved
from herd.core.models.models_lock import Lock
from herd.core.settings.problems import report
from herd.core.settings.schema import Settings
from herd.core.text.harmless import harmless
from herd.core.text.units import GIB, gib
from herd.verbs.machine_readable import document
from herd.workstation import hugging_face, lock_models


def fit(
    remotes: Sequence[Remote], inventory: str, *, lost: Mapping[str, str], json_wanted: bool
) -> bool:
    """What the models of each host take of its memory, term by term; whether all fits."""
    held = _lock_of(inventory)
    done, found = True, dict[str, Any]()
    for remote in remotes:
        mac, settings = remote.mac, remote.settings
        limits = Limits.of(
            mac.memory,
            mac.macos,
            wired_limit=mac.wired_limit,
            gpu_memory=mac.gpu_memory,
            declared=wired_limit.bytes_of(settings),
            reserve=settings.preflight_memory_reserve_gb * GIB,
        )
        told = _fit(settings, limits, held, inventory)
        macos = ".".join(map(str, mac.macos))
        said = "\n".join([f"{remote.host.name}: {gib(mac.memory)}, macOS {macos}", *told.lines])
        if not json_wanted:
            print(harmless(said, keep="\n"))
        found[remote.host.name] = {"memory": mac.memory, "macos": macos, **told.values}
        done &= told.fits
    if json_wanted:
        print(document("fit", found, lost))
    return done


def fit_in(
    memory: int, macos: int, inventory: str, limits: Sequence[str], *, json_wanted: bool
) -> bool:
    """The same for a Mac with `memory` GB that nobody has yet: the models of each host, or those
    of group_data/all.py while there is no host."""
    everything = read(inventory)
    if limits or len(everything):
        state, chosen = hosts(inventory, limits)
        every = plan.settings_of(state.inventory)
        wanted = {host.name: every[host.name] for host in chosen}
    else:
        wanted = {"group_data/all.py": plan.settings_of_all(everything)}
    held = _lock_of(inventory)
    done, said, found = True, dict[str, list[str]](), dict[str, Any]()
    for name, settings in wanted.items():
        reserve = settings.preflight_memory_reserve_gb * GIB
        declared = wired_limit.bytes_of(settings)
        has = Limits.of(memory * GIB, (macos,), declared=declared, reserve=reserve)
        told = _fit(settings, has, held, inventory)
        said.setdefault("\n".join(told.lines), []).append(name)
        found[name] = {"memory": has.memory, "macos": str(macos), **told.values}
        done &= told.fits
    if json_wanted:
        print(document("fit", found, {}))
        return done
    for text, names in said.items():
        print(f"{', '.join(names)} on a Mac with {memory} GB and macOS {macos}\n{text}")
    return done


def _lock_of(inventory: str) -> Lock:
    path = lock_models.beside(inventory)
    try:
        return lock_models.read(path)
    except ValueError as error:
        raise RemoteError(f"{path} {error}") from None


@dataclass
class _Told:
    """Whether all fits, in lines for a person, and in values for a program."""

    fits: bool
    lines: list[str]
    sets: list[dict[str, Any]] = field(default_factory=list)

    @property
    def values(self) -> dict[str, Any]:
        """`sets` are the models that may be loaded together."""
        return {"fits": self.fits, "sets": self.sets}


def _fit(settings: Settings, limits: Limits, held: Lock, inventory: str) -> _Told:
    models: list[Resolved] = []
    lines = [f"  {held.lacks}"] if held.lacks else []
    for model in settings.models.values():
        try:
            found, locked = lock_models.look(held, model)
        except ValueError as error:
            raise RemoteError(str(error)) from None
        models.append(found.resolved(hugging_face.endpoint()))
        if not locked:
            lines.append(f"  {model.name} is not locked: this is how it is on the Hub now")
    sets, problems = plan.sets_of("", settings, models, inventory)
    if problems:
        raise RemoteError(report("models.lock is of no use.", problems))
    unknown = {model.name for model in models} - {m.name for each in sets for m in each}
    lines += [f"  {name}: models.lock has no facts of its header" for name in sorted(unknown)]
    told = _Told(not unknown, lines, [{"models": [n], "fits": None} for n in sorted(unknown)])
    for each in sets:
        total = Sum(each, limits)
        try:
            lines += [f"  {total.name} {total.verdict}", *(f"    {row}" for row in total.lines())]
            ways = [] if total.fits else fixes(total)
        except ValueError as error:
            lines.append(f"  {total.name}: {error}")
            told.sets.append({"models": [m.name for m in each], "fits": None, "why": str(error)})
            told.fits = False
            continue
        told.sets.append({**total.values, "ways": ways})
        told.fits &= total.fits
        if ways:
            lines += ["    Any of these makes it fit:", *(f"    - {way}" for way in ways)]
    return told
