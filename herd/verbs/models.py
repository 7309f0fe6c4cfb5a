"""Models between deploys: locked, sized, fetched, verified."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pyinfra.api import QuoteString, StringCommand

from herd import hub, locks, plan
from herd.core.bundle import bundle, fetcher
from herd.core.endpoints import proxy_for_peers
from herd.core.fetching import LIFE, Wanted, grant, job
from herd.core.fit import Limits, Sum, fixes
from herd.core.harmless import harmless
from herd.core.lock import Lock
from herd.core.problems import report
from herd.core.settings import Model, Settings
from herd.core.sharing import Sharing
from herd.core.transfers import ASKED, Resolved
from herd.core.units import GIB, gib
from herd.facts.proxy import Releases
from herd.operations.models import fetch_command
from herd.remote import Remote, RemoteError, hosts, read


def lock(inventory: str, names: Sequence[str]) -> None:
    """Have models.lock beside the inventory say what the declared models are on the Hub now."""
    state, _ = hosts(inventory, [])
    settings = plan.settings_of(state.inventory)
    declared = {host: list(wanted.models.values()) for host, wanted in settings.items()}
    try:
        locks.make(locks.beside(inventory), declared, names, _say)
    except ValueError as error:
        raise RemoteError(str(error)) from None


def fit(remotes: Sequence[Remote], inventory: str) -> bool:
    """What the models of each host take of its memory, term by term; whether all fits."""
    held = _lock_of(inventory)
    done = True
    for remote in remotes:
        mac, settings = remote.mac, remote.settings
        limits = Limits.of(
            mac.memory,
            mac.macos,
            wired_limit=mac.wired_limit,
            gpu_memory=mac.gpu_memory,
            reserve=settings.preflight_memory_reserve_gb * GIB,
        )
        fits, lines = _fit(settings, limits, held, inventory)
        macos = ".".join(map(str, mac.macos))
        told = "\n".join([f"{remote.host.name}: {gib(mac.memory)}, macOS {macos}", *lines])
        print(harmless(told, keep="\n"))
        done &= fits
    return done


def fit_in(memory: int, macos: int, inventory: str, limits: Sequence[str]) -> bool:
    """The same for a Mac with `memory` GB that nobody has yet: the models of each host, or those
    of group_data/all.py while there is no host."""
    state = read(inventory)
    if limits or len(state.inventory):
        state, chosen = hosts(inventory, limits)
        every = plan.settings_of(state.inventory)
        wanted = {host.name: every[host.name] for host in chosen}
    else:
        wanted = {"group_data/all.py": plan.settings_of_all(state.inventory)}
    held = _lock_of(inventory)
    done, said = True, dict[str, list[str]]()
    for name, settings in wanted.items():
        reserve = settings.preflight_memory_reserve_gb * GIB
        has = Limits.of(memory * GIB, (macos,), reserve=reserve)
        fits, lines = _fit(settings, has, held, inventory)
        said.setdefault("\n".join(lines), []).append(name)
        done &= fits
    for text, names in said.items():
        print(f"{', '.join(names)} on a Mac with {memory} GB and macOS {macos}\n{text}")
    return done


def _lock_of(inventory: str) -> Lock:
    path = locks.beside(inventory)
    try:
        return locks.read(path)
    except ValueError as error:
        raise RemoteError(f"{path} {error}") from None


def _fit(settings: Settings, limits: Limits, held: Lock, inventory: str) -> tuple[bool, list[str]]:
    models, lines = [], []
    for model in settings.models.values():
        try:
            found, locked = locks.look(held, model)
        except ValueError as error:
            raise RemoteError(str(error)) from None
        models.append(found.resolved(hub.endpoint()))
        if not locked:
            lines.append(f"  {model.name} is not locked: this is how it is on the Hub now")
    sets, problems = plan.sets_of("", settings, models, inventory)
    if problems:
        raise RemoteError(report("models.lock is of no use.", problems))
    unknown = {model.name for model in models} - {m.name for each in sets for m in each}
    lines += [f"  {name}: models.lock has no facts of its header" for name in sorted(unknown)]
    done = not unknown
    for each in sets:
        total = Sum(each, limits)
        try:
            lines += [f"  {total.name} {total.verdict}", *(f"    {row}" for row in total.lines())]
            ways = [] if total.fits else fixes(total)
        except ValueError as error:
            lines.append(f"  {total.name}: {error}")
            done = False
            continue
        done &= total.fits
        if ways:
            lines += ["    Any of these makes it fit:", *(f"    - {way}" for way in ways)]
    return done, lines


def fetch(remotes: Sequence[Remote], repo: str, include: Sequence[str], revision: str) -> bool:
    """Fetch a model's files without declaring it; says what to declare to serve it."""
    defaults = next(iter(remotes[0].settings.models.values()))
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise RemoteError(f"{repo!r} is no repository: write OWNER/NAME, as the Hub has it")
    wanted = {
        "name": repo.rpartition("/")[2].removesuffix("-GGUF"),
        "repo": repo,
        "revision": revision,
        "include": list(include),
    }
    try:
        model = Model.model_validate({**defaults.model_dump(), **wanted})
        resolved = hub.resolve(model).resolved(hub.endpoint())
    except ValueError as error:
        raise RemoteError(str(error)) from None
    done = _fetch(remotes, {remote.host.name: [resolved] for remote in remotes}, origin=ASKED)
    if done:
        declared = json.dumps({"repo": repo, "include": list(include)})
        print("To serve it, add to `models` in group_data/all.py, run `make lock`, and deploy:")
        print(f"    {json.dumps(model.name)}: {declared},")
    return done


def verify_models(remotes: Sequence[Remote], inventory: str) -> bool:
    """Hash every file of every declared model; what is wrong is set aside and fetched again."""
    chosen = [remote.host for remote in remotes]
    settings = {remote.host.name: remote.settings for remote in remotes}
    models = plan.locked_models(chosen, settings, inventory)
    return _fetch(remotes, models, again=True)


def _fetch(remotes: Sequence[Remote], models: Mapping[str, list[Resolved]], **options: Any) -> bool:
    """One Mac after the other, each from those of its site that have it already."""
    names = [remote.host.name for remote in remotes]
    settings = {remote.host.name: remote.settings for remote in remotes}
    urls = {r.host.name: proxy_for_peers(r.settings, r.address) for r in remotes}
    shared = Sharing(settings, models, urls)
    for remote in remotes:
        if shared.peers(remote.host.name, names):
            _open(remote, shared.key)
    done = True
    for remote in remotes:
        name = remote.host.name
        done &= _fetch_one(remote, models[name], peers=shared.peers(name, names), **options)
    return done


def _open(remote: Remote, key: str) -> None:
    path, now = remote.layout.peers, datetime.now(UTC)
    _, lines = remote.run(StringCommand("cat", QuoteString(path), "2>/dev/null"))
    remote.write(path, grant(key, now + LIFE, now, "\n".join(lines)), "600")


def _fetch_one(remote: Remote, models: Sequence[Resolved], **options: Any) -> bool:
    layout, packed = remote.layout, bundle()
    releases = remote.host.get_fact(Releases, directory=layout.proxy)
    if layout.proxy_environment(packed) not in releases.whole:
        return remote.say(False, ["it has no Python for that yet: run `make deploy` first"])
    remote.write(layout.fetcher, fetcher(), "644")
    said = job(
        [Wanted(model, model.files) for model in models],
        directory=layout.models,
        connections=remote.settings.models_connections,
        token=hub.token(),
        grace=0.1,  # seconds; the others do nothing meanwhile
        **options,
    )
    return remote.follow(fetch_command(layout, packed), stdin=said)


def _say(line: str) -> None:
    """What the Hub named is in it."""
    print(harmless(line), flush=True)
