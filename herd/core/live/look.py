"""One look at a Mac that serves, and at the gateway on it: the answer of scripts/look/live.sh."""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from herd.core.gateway import servers
from herd.core.live import proxy_metrics
from herd.core.live.proxy_metrics import ProxyMetrics
from herd.core.mac import vitals
from herd.core.mac.vitals import Vitals


@dataclass(frozen=True)
class Slots:
    """Of a model's llama-server: how many work, of how many, and the tokens that those have written
    so far of the answers under way."""

    busy: int
    total: int
    written: int = 0


@dataclass(frozen=True)
class Pools:
    """HAProxy's: Macs that are ready, of how many; slots taken, of how many; requests in line."""

    ready: int = 0
    macs: int = 0
    busy: int = 0
    total: int = 0
    queue: int = 0


@dataclass(frozen=True)
class Look:
    """`at` is this workstation's clock, in seconds from anywhere. `states` are those of the running
    models by llama-swap's word, None where it does not answer; `slots` are of those that tell.
    `proxy` and `gateway` are None where no proxy, or none at its gateway, answers."""

    at: float
    states: Mapping[str, str] | None = None
    slots: Mapping[str, Slots] = field(default_factory=dict)
    proxy: ProxyMetrics | None = None
    gateway: ProxyMetrics | None = None
    pools: Pools | None = None
    vitals: Vitals = field(default_factory=Vitals)


def parse(lines: Iterable[str], at: float) -> Look:
    """Whatever is not there, or is no answer, is left out."""
    sections: dict[str, list[str]] = {}
    current = sections.setdefault("", [])
    for line in lines:
        if line.startswith("--- "):
            current = sections.setdefault(line.removeprefix("--- "), [])
        else:
            current.append(line)
    said = {name: "\n".join(found) for name, found in sections.items()}
    running = _running(said.get("running", ""))
    return Look(
        at=at,
        states=None if running is None else {name: state for name, state, _ in running},
        slots={
            name: found
            for name, _, url in running or ()
            if (found := _slots(said.get(f"slots {url}", "")))
        },
        proxy=proxy_metrics.parse(said.get("proxy", "")),
        gateway=proxy_metrics.parse(said.get("gateway", "")),
        pools=_pools(sections.get("haproxy", [])),
        vitals=vitals.parse(sections[""]),
    )


def _running(text: str) -> list[tuple[str, str, str]] | None:
    """Name, state and URL of each model that llama-swap runs."""
    with suppress(ValueError, KeyError, TypeError):
        every = json.loads(text)["running"]
        return [(str(m["model"]), str(m["state"]), str(m.get("proxy", ""))) for m in every]
    return None


def _slots(text: str) -> Slots | None:
    """Of llama-server's `GET /slots` (tools/server/README.md), if that is what answered."""
    with suppress(ValueError, KeyError, TypeError, IndexError):
        every = json.loads(text)
        busy = [slot for slot in every if slot["is_processing"]]
        return Slots(len(busy), len(every), sum(map(_written, busy))) if every else None
    return None


def _written(slot: Mapping[str, Any]) -> int:
    return int((slot.get("next_token") or [{}])[0].get("n_decoded") or 0)


def _pools(lines: Iterable[str]) -> Pools | None:
    found = servers.parse(lines)
    if not found.is_known:
        return None
    macs = found.macs.values()
    return Pools(
        ready=sum(mac.state.startswith("UP") for mac in macs),
        macs=len(macs),
        busy=sum(mac.taken for mac in macs),
        total=sum(mac.slots for mac in macs),
        queue=sum(found.waiting.values()),
    )
