"""`make top`: the whole herd live, on one screen; or a round after the other, for a pipe."""

import logging
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import gevent  # type: ignore[import-untyped]
from rich.console import Console
from rich.live import Live

from herd import plan
from herd.connections.connected import Connected
from herd.connections.kept import Kept
from herd.connections.remote import Silent, hosts
from herd.core.live import look, reading
from herd.core.live.look import Look
from herd.core.live.reading import Reading
from herd.facts.script import script
from herd.verbs import top_screen as screen
from herd.verbs.machine_readable import line
from herd.verbs.top_screen import Row

PATIENCE = 5.0
"""Seconds that a round waits for a Mac; the others are shown without it then."""
_UNWATCHED = 120
"""Columns where no terminal says how many it has."""


class Watched:
    """One host with its looks so far."""

    def __init__(self, kept: Kept) -> None:
        self.name = kept.host.name
        self.kept = kept
        self.looks: list[Look] = []
        self.why = ""
        self._asked = 0.0
        self._asking: Any = None

    def begin(self) -> Any:
        """A look, unless the last is not over; what one waits for."""
        if self._asking is None or self._asking.dead:
            self._asked = time.monotonic()
            self._asking = gevent.spawn(self._look)
        return self._asking

    @property
    def silent(self) -> str:
        """Why there is nothing of it now."""
        late = round(time.monotonic() - self._asked)
        if self._asking is not None and not self._asking.dead and late >= PATIENCE:
            return f"no answer for {late} s"
        return self.why or ("" if self.looks else screen.CONNECTING)

    def rows(self) -> Iterator[Row]:
        """Of the Mac, and of the gateway that it is."""
        if silent := self.silent:
            yield Row(self.name, silent=silent)
            return
        now = self.looks[-1]
        if self.kept.settings.serves:
            memory = self.kept.remote().mac.memory
            slots = {name: model.parallel for name, model in self.kept.settings.models.items()}
            mac = reading.of_mac(self.looks, slots)
            yield Row(self.name, mac, memory=memory, vitals=now.vitals)
        if self.kept.gateway:
            found = reading.of_gateway(self.looks)
            yield Row(f"{self.name} gateway", found, now.pools, is_gateway=True)

    def _look(self) -> None:
        settings, gateway = self.kept.settings, self.kept.gateway
        try:
            root = self.kept.remote().layout.root
            haproxy = [settings.gateway_haproxy_port] if gateway else []
            command = script("live", root, settings.llama_swap_port, *haproxy)
            found = look.parse(self.kept.lines(command), time.monotonic())
        except Silent as error:
            self.looks = []
            self.why = str(error).splitlines()[0]
        else:
            self.looks = reading.within([*self.looks, found])
            self.why = ""


def top(
    inventory: str,
    limits: Sequence[str],
    *,
    interval: float,
    count: int | None,
    json_wanted: bool,
) -> bool:
    """Show the chosen hosts each `interval` seconds, `count` times or until Ctrl+C; whether the
    last round had all of them."""
    state, chosen = hosts(inventory, limits)
    settings = plan.settings_of(state.inventory)
    gateways = plan.gateways_of(state.inventory, settings, inventory)
    state.config.FAIL_PERCENT = 100
    state.add_callback_handler(Connected())
    logging.getLogger("pyinfra").setLevel(logging.CRITICAL + 1)  # a row says it
    herd = [
        Watched(Kept(host, settings[host.name], inventory, gateways.get(host.name)))
        for host in chosen
    ]
    # Python's own would raise wherever gevent just is, which is none of ours mostly.
    gevent.signal_handler(signal.SIGINT, gevent.kill, gevent.getcurrent(), KeyboardInterrupt())
    try:
        _show(herd, interval, count, json_wanted=json_wanted)
    except KeyboardInterrupt:
        return True  # as it is meant to end
    finally:
        for one in herd:
            one.kept.end()
    return not any(one.silent for one in herd)


def _show(
    herd: Sequence[Watched], interval: float, count: int | None, *, json_wanted: bool
) -> None:
    console = Console(highlight=False)
    if console.is_terminal and not json_wanted and count is None:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            for _ in _rounds(herd, interval, None, first=True):
                live.update(screen.of(_rows(herd), console.size), refresh=True)
        return
    if not console.is_terminal:
        console = Console(highlight=False, width=_UNWATCHED, color_system=None)
    for number in _rounds(herd, interval, count, first=False):
        if json_wanted:
            print(_line(herd), flush=True)
            continue
        if number:
            console.print()
        console.print(screen.of(_rows(herd), console.size._replace(height=0)))


def _rounds(
    herd: Sequence[Watched], interval: float, count: int | None, *, first: bool
) -> Iterator[int]:
    """Looks at all, each time that an interval is over; `first` has what nothing is known of yet,
    else there are two looks behind each round, as rates are of the time in between."""
    number = 0
    if first:
        yield number
    while True:
        began = time.monotonic()
        gevent.joinall([one.begin() for one in herd], timeout=PATIENCE)
        if first or number:
            yield number - (not first)
        number += 1
        if count is not None and number > count:
            return
        gevent.sleep(max(0.0, began + interval - time.monotonic()))


def _rows(herd: Sequence[Watched]) -> list[Row]:
    return [row for one in herd for row in one.rows()]


def _line(herd: Sequence[Watched]) -> str:
    told: dict[str, Any] = {}
    for one in herd:
        if one.silent:
            continue
        found: dict[str, Any] = {"vitals": asdict(one.looks[-1].vitals)}
        for row in one.rows():
            if row.is_gateway:
                macs = {"macs": row.pools and asdict(row.pools)}
                found["gateway"] = _plain(row.reading) | macs
            else:
                found |= {**_plain(row.reading), "memory": row.memory}
        told[one.name] = found
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return line("top", told, {one.name: one.silent for one in herd if one.silent}, at=at)


def _plain(found: Reading | None) -> dict[str, Any]:
    if found is None:
        return {}
    rates = found.rates
    return {
        "models": dict(found.models),
        "slots": {"busy": found.busy, "total": found.total},
        "waiting": found.waiting,
        "requests_per_minute": rates.requests,
        "prompt_tokens_per_second": rates.read,
        "tokens_per_second": rates.written,
        "first_token_seconds": rates.first,
        "problems": list(found.problems),
    }
