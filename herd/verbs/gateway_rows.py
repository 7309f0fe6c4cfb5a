"""What `make status` says of a host that is a gateway of the herd."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from herd.connections.remote import Remote
from herd.core.gateway import known
from herd.core.gateway.fleet import Gateway
from herd.core.gateway.servers import Servers
from herd.core.mac.endpoints import local_gateway, public_gateway
from herd.core.mac.job_definitions import GATEWAY_JOBS
from herd.core.mac.launchd import Job
from herd.core.text.secret import key_options
from herd.facts.gateway import GatewayAnswers, GatewayNumbers, GatewayServers
from herd.facts.gathered import Question
from herd.verbs.told import Told
from herd.workstation.api_keys import Held


def asks(remote: Remote, held: Held) -> Iterator[Question]:
    """What is asked for it, beside its jobs."""
    if remote.gateway:
        url, stdin = local_gateway(remote.settings), key_options(held.secret)
        yield Question(GatewayAnswers, url=url, _stdin=stdin)
        yield Question(GatewayServers, **_where(remote))
    if remote.gateway and remote.gateway.others:
        yield Question(GatewayNumbers, socket=remote.layout.gateway_control)


def tell(told: Told, remote: Remote, jobs: Mapping[str, Job | None]) -> None:
    """Where the herd is asked, how what serves it runs, and how it finds the Macs."""
    if remote.gateway is None:
        return
    url = public_gateway(remote.settings, remote.address)
    told.row("the herd", f"{url}/v1")
    for what, name in zip(("HAProxy", "its proxy"), GATEWAY_JOBS, strict=True):
        job = jobs[name]
        running = f"{job.state}, {f'pid {job.pid}' if job.pid else 'no process'}" if job else ""
        told.row(what, running or "not loaded")
    seen = remote.ask(GatewayServers, **_where(remote))
    for mac in remote.gateway.macs:
        if server := seen.macs.get(mac.server):
            told.row(mac.name, server.words)
    for pool in remote.gateway.pools:
        if count := seen.waiting.get(pool.backend):
            told.row("queue", f"{count} of {remote.gateway.queue} wait for {pool.names[0]}")
    others, dark = remote.gateway.others, unheard(remote)
    if others:
        together = f"a key's hold for {', '.join(each.name for each in others)} and this one"
        alone = f"a key's hold at each gateway; not heard: {', '.join(dark)}"
        told.row("limits", alone if dark else together)
    told.add(herd={"endpoint": f"{url}/v1", **_plain(remote.gateway, seen), "unheard": dark})


def unheard(remote: Remote) -> list[str]:
    """Other gateways that do not tell this one what they let in, so that limits hold at each."""
    if remote.gateway is None or not remote.gateway.others:
        return []
    numbers = remote.ask(GatewayNumbers, socket=remote.layout.gateway_control)
    return known.unheard(remote.gateway.others, numbers.heard if numbers else {})


def _plain(gateway: Gateway, seen: Servers) -> dict[str, Any]:
    """For a program, by the names of the inventory."""
    macs = {mac.name: seen.macs.get(mac.server) for mac in gateway.macs}
    return {
        "macs": {name: server and asdict(server) for name, server in macs.items()},
        "waiting": {pool.names[0]: seen.waiting.get(pool.backend, 0) for pool in gateway.pools},
    }


def _where(remote: Remote) -> dict[str, Any]:
    return {
        "port": remote.settings.gateway_haproxy_port,
        "key_file": remote.layout.gateway_key,
    }


def complaint(remote: Remote, held: Held) -> str | None:
    """What is wrong with it."""
    if remote.gateway is None:
        return None
    url, stdin = local_gateway(remote.settings), key_options(held.secret)
    return remote.ask(GatewayAnswers, url=url, _stdin=stdin).complaint()
