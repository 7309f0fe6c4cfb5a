"""Which Macs may be changed at the same time, so that the others serve meanwhile.

A Mac is out of service while it is changed. What only it serves is not served then, and what others
serve, too, they have to be able to take over.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

CANARY = "canary"
"""The group of an inventory whose Macs come first."""
SPARED = 2
"""Where several go at a time, at most one in so many of a model's slots is out of service."""


@dataclass(frozen=True)
class Member:
    """A Mac as a roll sees it: by each name that clients may use, how many requests at a time; and
    why it takes none now, "" if it does."""

    name: str
    slots: Mapping[str, int]
    canary: bool = False
    gateway: bool = False
    left: bool = False
    """Whether a run that was cut off left it drained."""
    out: str = ""
    missed: bool = False
    """Whether that is not as it should be."""


@dataclass(frozen=True)
class LastCopy:
    """A name that nobody would serve: who does now, and of the others why they do not."""

    name: str
    macs: Sequence[str]
    others: Mapping[str, str]

    def __str__(self) -> str:
        who = " and ".join(self.macs)
        if not self.others:
            return f"{self.name} is served by {who} only"
        why = "; ".join(f"{name}: {reason}" for name, reason in self.others.items())
        return f"{self.name} is served by {who} only now ({why})"


def in_order(members: Iterable[Member]) -> list[Member]:
    """Who was left out of service first, as nobody misses him; then the canaries; a gateway, which
    knows the herd as it is declared now, once the others are so."""
    return sorted(members, key=_rank)


def _rank(member: Member) -> int:
    if member.left:
        return 0
    return 1 if member.canary else 3 if member.gateway else 2


def next_wave(waiting: Sequence[Member], herd: Sequence[Member], most: int) -> list[Member]:
    """Who of those that wait, in order, is changed next, all at a time: at least the first, and
    others like it as far as the herd can spare them. Canaries prove something to those behind
    them, and of gateways one has to be there."""
    wave, first = [waiting[0]], waiting[0]
    for member in waiting[1:]:
        if len(wave) == most or _rank(member) != _rank(first):
            break
        both = member.gateway and any(each.gateway for each in wave)
        if not both and _spares([*wave, member], herd):
            wave.append(member)
    return wave


def _spares(wave: Sequence[Member], herd: Sequence[Member]) -> bool:
    """Whether enough of the slots of all that they serve stays in service."""
    out = {member.name for member in wave} | {member.name for member in herd if member.out}
    for name in _served(wave):
        slots = {member.name: member.slots[name] for member in herd if name in member.slots}
        gone = sum(count for mac, count in slots.items() if mac in out)
        if gone * SPARED > sum(slots.values()):
            return False
    return True


def last_copies(wave: Sequence[Member], herd: Sequence[Member]) -> Iterator[LastCopy]:
    """What nobody would serve while these are changed, and somebody does now."""
    going = {member.name for member in wave}
    for name in _served(wave):
        serving = [member.name for member in herd if name in member.slots and not member.out]
        if serving and going.issuperset(serving):
            others = {
                member.name: member.out or "it is changed at the same time"
                for member in herd
                if name in member.slots and member.name not in serving
            }
            yield LastCopy(name, serving, others)


def single_copies(chosen: Iterable[Member], herd: Sequence[Member]) -> list[LastCopy]:
    """What only one Mac of the herd is to serve, and does, of those that are to be changed."""
    return [copy for member in chosen for copy in last_copies([member], herd) if not copy.others]


def _served(wave: Iterable[Member]) -> list[str]:
    return sorted({name for member in wave for name in member.slots})
