"""What two looks at a Mac make: how much it does, and what is wrong with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from herd.core.live import counters, proxy_metrics
from herd.core.live.look import Look
from herd.core.live.proxy_metrics import Done, ProxyMetrics

WINDOW = 30.0
"""Seconds that rates are of: a request is counted when it is over, and one lasts some seconds."""


@dataclass(frozen=True)
class Rates:
    """Requests in a minute, tokens in a second, and the mean seconds to the first token of streams
    that began; None is not known yet, or that none began."""

    requests: float | None = None
    read: float | None = None
    written: float | None = None
    first: float | None = None


@dataclass(frozen=True)
class Reading:
    """One line of `make top`: of a Mac, or of the gateway on it.

    `busy` and `total` slots are of the models that are loaded, or of the pools of a gateway; `busy`
    is None where nobody told. `waiting` requests are under way, and no slot works on them.
    """

    models: Mapping[str, str]
    busy: int | None = None
    total: int | None = None
    waiting: int | None = None
    rates: Rates = Rates()
    problems: tuple[str, ...] = ()


def of_mac(looks: Sequence[Look], slots: Mapping[str, int]) -> Reading:
    """By its looks within WINDOW, the newest last; `slots` are those that each model was declared
    with, for one that does not tell."""
    now = looks[-1]
    told = [now.slots.get(name) for name in now.states or ()]
    busy = sum(each.busy for each in told if each) if all(told) else None
    total = sum(
        now.slots[name].total if name in now.slots else slots.get(name, 0)
        for name in now.states or ()
    )
    under_way = sum(each.written for each in now.slots.values())
    before = sum(each.written for each in looks[0].slots.values())
    return Reading(
        models=now.states or {},
        busy=busy,
        total=total,
        waiting=None if now.proxy is None or busy is None else max(0, now.proxy.open - busy),
        rates=_rates([(look.at, look.proxy) for look in looks], under_way - before),
        problems=tuple(_problems(now)),
    )


def of_gateway(looks: Sequence[Look]) -> Reading:
    """The same of the gateway on it."""
    now = looks[-1]
    pools = now.pools
    problems = []
    if now.gateway is None:
        problems.append("its proxy does not answer")
    elif now.gateway.drained:
        problems.append("takes no new requests")
    else:
        problems += [
            f"{name} is not heard" for name, is_it in now.gateway.heard.items() if not is_it
        ]
    if pools is None:
        problems.append("HAProxy does not answer")
    elif not pools.ready:
        problems.append("no Mac is ready")
    return Reading(
        models={},
        busy=pools.busy if pools else None,
        total=pools.total if pools else None,
        waiting=pools.queue if pools else None,
        rates=_rates([(look.at, look.gateway) for look in looks], 0),
        problems=tuple(problems),
    )


def _problems(now: Look) -> list[str]:
    found = [] if now.states is not None else ["llama-swap does not answer"]
    if now.proxy is None:
        found.append("its proxy does not answer, or is older than this toolkit")
    else:
        found += ["takes no new requests"] if now.proxy.drained else []
        found += [f"{model} gives no token" for model in now.proxy.stuck]
    return found


def _rates(looks: Sequence[tuple[float, ProxyMetrics | None]], under_way: float) -> Rates:
    """`under_way` is by how much the tokens of answers that are not over yet grew; the proxy counts
    those of an answer at its end, so both together are what was written in between."""
    answered = [(at, each) for at, each in looks if each is not None]
    if len(answered) < 2 or answered[-1][1] is not looks[-1][1]:
        return Rates()
    seconds = answered[-1][0] - answered[0][0]
    if seconds <= 0:
        return Rates()
    total = Done()
    for (_, before), (_, after) in pairwise(answered):
        total += proxy_metrics.done(counters.increase(before.counters, after.counters))
    return Rates(
        requests=total.requests * 60 / seconds,
        read=total.read / seconds,
        written=max(0.0, total.written + under_way) / seconds,
        first=total.waited / total.begun if total.begun else None,
    )


def within(looks: Sequence[Look], window: float = WINDOW) -> list[Look]:
    """Those of the last seconds, and the one before, so that all of the window is covered."""
    since = looks[-1].at - window
    first = max((n for n, look in enumerate(looks) if look.at <= since), default=0)
    return list(looks[first:])
