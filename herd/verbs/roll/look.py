"""How the herd is while a change goes through it: who takes requests, and who was left drained."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from pyinfra.api import Host

from herd import plan
from herd.connections.remote import Reached, Remote, Silent, ask, hosts, reached
from herd.core.gateway import fleet
from herd.core.gateway.servers import Servers
from herd.core.mac.endpoints import local_proxy
from herd.core.roll.waves import CANARY, Member
from herd.core.settings.schema import Settings
from herd.facts.gateway import GatewayServers
from herd.facts.gathered import Question
from herd.facts.ready import Readiness, Ready
from herd.operations.last_good import REASON, put_back, undrain

PATIENCE = 60.0
"""Seconds until a Mac that was changed takes requests again: a gateway looks each two seconds, and
twice before it believes."""
PAUSE = 1.0

OURS = f"drain: {REASON}"
"""The word of a run."""
NEW = "a gateway does not know it yet"


def is_owners(out: str) -> bool:
    """Whether it is somebody's wish that a Mac takes no requests, and not a run's."""
    return out.startswith(("drain", "maint")) and out != OURS


def herd(inventory: str, chosen: Collection[str], *, asked: bool = True) -> list[Member]:
    """The chosen Macs as they are now and, where there is a gateway, those that it could ask in
    their place; if nobody is `asked`, as if all were well."""
    state, everybody = hosts(inventory, [])
    settings = plan.settings_of(state.inventory)
    near = [host for host in everybody if host.name in chosen]
    if any(fleet.GROUP in host.groups for host in everybody):
        names = {name for host in near for name in _slots(settings[host.name])}
        near += [
            host
            for host in everybody
            if host not in near
            and (fleet.GROUP in host.groups or names & _slots(settings[host.name]).keys())
        ]
    if not asked:
        return [_member(host, settings[host.name], Ready(200)) for host in near]
    state.limit_hosts = near
    with reached(state, near, inventory) as found:
        ask(found.remotes, _questions)
        ready, seen = dict(_ready(found.remotes)), list(_seen(found.remotes))
        return [
            _member(host, settings[host.name], ready.get(host.name), _why(host.name, found, seen))
            for host in near
        ]


def _slots(settings: Settings) -> Mapping[str, int]:
    return {
        name: model.parallel
        for model in settings.models.values()
        for name in (model.name, *model.aliases)
    }


def _member(host: Host, settings: Settings, ready: Ready | None, why: str = "") -> Member:
    out = ((ready and ready.out) or why) if settings.serves else ""
    excused = settings.launchd_autostart == "off" or is_owners(out) or out == NEW
    return Member(
        host.name,
        _slots(settings),
        canary=CANARY in host.groups,
        gateway=fleet.GROUP in host.groups,
        left=ready is not None and ready.word == OURS,
        out=out,
        missed=bool(out) and not excused,
    )


def _why(name: str, found: Reached, seen: Sequence[Servers]) -> str:
    """Why it takes no requests, though it may say that it does."""
    if name in found.lost:
        return found.lost[name]
    for told in seen:
        server = told.macs.get(fleet.plain(name))
        if server is None:
            return NEW
        if not server.state.startswith(("UP", "no check")):
            return f"a gateway has it as {server.words}"
    return ""


def _questions(remote: Remote) -> Iterator[Question]:
    if remote.settings.serves:
        yield _readiness(remote)
    if remote.gateway:
        yield _seen_by(remote)


def _readiness(remote: Remote) -> Question:
    url = local_proxy(remote.settings)
    return Question(Readiness, url=url, availability=remote.layout.availability)


def _seen_by(remote: Remote) -> Question:
    port = remote.settings.gateway_haproxy_port
    return Question(GatewayServers, port=port, key_file=remote.layout.gateway_key)


def _ready(remotes: Sequence[Remote]) -> Iterator[tuple[str, Ready]]:
    for remote in remotes:
        if not remote.settings.serves:
            continue
        question = _readiness(remote)
        try:
            yield remote.host.name, remote.ask(Readiness, **question.arguments)
        except Silent:
            yield remote.host.name, Ready()


def _seen(remotes: Sequence[Remote]) -> Iterator[Servers]:
    """What each gateway that answers knows of the Macs."""
    for remote in remotes:
        if remote.gateway:
            try:
                told = remote.ask(GatewayServers, **_seen_by(remote).arguments)
            except Silent:
                continue
            if told.is_known:
                yield told


def mend(inventory: str, name: str, *, say: Callable[[str], None]) -> None:
    """What a run that failed on a Mac could not do there, as where its connection was lost: put
    back what served, and let requests in."""
    state, chosen = hosts(inventory, [name])
    with reached(state, chosen, inventory) as found:
        for remote in (each for each in found.remotes if each.settings.serves):
            try:
                ready = remote.ask(Readiness, **_readiness(remote).arguments)
            except Silent as error:
                say(str(error))
                continue
            if ready.word == OURS:
                say(f"{name} was left drained: what served before is put back")
                layout = remote.layout
                for command in (put_back(layout), undrain(layout, layout.availability)):
                    remote.say(*remote.run(command))
        for why in found.lost.values():
            say(f"{why}: if it is drained, the next run lets requests in again")
