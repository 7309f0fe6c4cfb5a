"""What `make status` says of a host that is a gateway of the herd."""

from collections.abc import Iterator

from herd.connections.remote import Remote
from herd.core.mac.endpoints import local_gateway, public_gateway
from herd.core.mac.job_definitions import GATEWAY_JOBS
from herd.core.text.secret import key_options
from herd.facts.gateway import GatewayAnswers
from herd.facts.gathered import Question
from herd.facts.launchd import Loaded
from herd.workstation.api_keys import Held


def asks(remote: Remote, held: Held) -> Iterator[Question]:
    """What is asked for it."""
    if remote.gateway:
        for name in GATEWAY_JOBS:
            yield Question(
                Loaded,
                target=remote.layout.domain(remote.mac.uid).target(remote.layout.label(name)),
            )
        url, stdin = local_gateway(remote.settings), key_options(held.secret)
        yield Question(GatewayAnswers, url=url, _stdin=stdin)


def rows(remote: Remote) -> Iterator[tuple[str, str]]:
    """Where the herd is asked, and how what serves it runs."""
    if remote.gateway is None:
        return
    yield "the herd", f"{public_gateway(remote.settings, remote.address)}/v1"
    for what, name in zip(("HAProxy", "its proxy"), GATEWAY_JOBS, strict=True):
        job = remote.ask(
            Loaded, target=remote.layout.domain(remote.mac.uid).target(remote.layout.label(name))
        )
        running = f"{job.state}, {f'pid {job.pid}' if job.pid else 'no process'}" if job else ""
        yield what, running or "not loaded"


def complaint(remote: Remote, held: Held) -> str | None:
    """What is wrong with it."""
    if remote.gateway is None:
        return None
    url, stdin = local_gateway(remote.settings), key_options(held.secret)
    return remote.ask(GatewayAnswers, url=url, _stdin=stdin).complaint()
