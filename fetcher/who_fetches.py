"""Who of several Macs fetches a file from the Hub, so that a fleet fetches each only once; pure.

All Macs see the same names and files, so they come to the same answer without asking each other:
the splits of a model go round, and whoever does not begin, or goes on no further, is passed over.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from fetcher.spec import File, Patience

PROVING = 3
"""Polls after which what another Mac had when we first saw it, and has still, is a leftover."""

VERIFIED_PER_SECOND = 100 << 20
"""Bytes, less than any disk reads that models are served from: how long a whole file may take
that is not verified yet. Its owner tells one byte less than the size (see pieces.py)."""


@dataclass
class Told:
    """What another Mac says of one file: bytes of it, when they last grew, and if we saw that."""

    have: int
    size: int
    grown: float
    proven: bool


@dataclass
class Host:
    """Another Mac; `files` by SHA-256, times in seconds of one clock."""

    name: str
    alive: bool = False
    since: float = 0.0
    sign: float = 0.0  # when it was first seen, or something there last grew
    files: dict[str, Told] = field(default_factory=dict)

    @property
    def has_moved(self) -> bool:
        """Whether anything grew there since we first saw it: a run is under way."""
        return self.sign > self.since

    def has(self, file: File) -> bool:
        """Whether it serves the whole file, verified."""
        told = self.files.get(file.sha256)
        return self.alive and told is not None and told.have == told.size == file.size

    def fetches(self, file: File, now: float, patience: Patience) -> bool:
        """Whether it gets bytes of the file just now."""
        told = self.files.get(file.sha256)
        if not self.alive or told is None or told.have >= told.size:
            return False
        if told.have == file.size - 1:
            return now - told.grown < patience.stall + file.size / VERIFIED_PER_SECOND
        if told.proven:
            return now - told.grown < patience.stall
        return now - told.grown < min(PROVING * patience.poll, patience.stall)


@dataclass(frozen=True)
class FromHub:
    """It is ours to fetch."""


@dataclass(frozen=True)
class FromPeers:
    """These have it whole."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Waiting:
    """Another Mac fetches it, or is to begin."""

    name: str
    begun: bool


Source = FromHub | FromPeers | Waiting


def order(file: File, names: Iterable[str]) -> list[str]:
    """Whose turn it is, and who is next. The first goes round by the number of the split, the
    others stand as by chance, so that the files of one that is gone go to several."""
    split = re.search(r"-(\d{5})-of-\d{5}\.gguf$", file.path)
    stem = file.path[: split.start()] if split else file.sha256
    ring = sorted(names)
    place = int.from_bytes(_hash(stem)[:8]) + (int(split[1]) if split else 0)
    first = ring.pop(place % len(ring))
    return [first, *sorted(ring, key=lambda name: _hash(f"{file.sha256}:{name}"))]


def source(
    file: File,
    hosts: dict[str, Host],
    me: str,
    *,
    have: int,
    claimed: bool,
    begun: bool,
    out: frozenset[str],
    now: float,
    patience: Patience,
) -> Source:
    """Where a file comes from now. `have` are our bytes of it; `claimed` tells whether others see
    that we want to fetch it from the Hub, `begun` whether we do so already; `out` has those whose
    bytes failed."""
    holders = tuple(h.name for h in hosts.values() if h.has(file) and h.name not in out)
    if holders:
        return FromPeers(holders)
    active = [h for h in hosts.values() if h.fetches(file, now, patience)]
    if claimed:
        theirs = {h.name: h.files[file.sha256].have for h in active}
        stronger = [h for h in active if _yields(have, me, theirs[h.name], h.name, begun=begun)]
        return Waiting(stronger[0].name, begun=True) if stronger else FromHub()
    if active:
        most = max(active, key=lambda h: (h.files[file.sha256].have, h.name))
        return Waiting(most.name, begun=True)
    # One after the other, each with its time to begin, from when the last one went no further.
    told = [h.files[file.sha256] for h in hosts.values() if file.sha256 in h.files]
    until = max((t.grown + patience.stall for t in told if t.proven), default=0.0)
    for name in order(file, [me, *hosts]):
        if name == me:
            break
        host = hosts[name]
        if host.alive and not host.has(file):
            until = max(until, host.sign) + patience.grace
            if now < until:
                return Waiting(name, begun=False)
    return FromHub()


def _yields(have: int, me: str, theirs: int, other: str, *, begun: bool) -> bool:
    """Whether we stop, of two that fetch the same. What we know of the other is seconds old, so
    less than a tenth is no difference; both never stop, and both never go on for long. Who has
    not begun yet makes way: the other may have, for all we know."""
    margin = max(have, theirs) / 10
    return have < theirs - margin or (have <= theirs + margin and (not begun or other < me))


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
