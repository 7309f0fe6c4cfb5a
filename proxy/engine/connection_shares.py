"""All connections at once: from where they come, and who makes room for whom.

Until a good key came on it, a connection is a stranger's. Strangers have a share for each address
and one for all of them. Where one is used up, the newest is let in and the oldest stranger for whom
nobody works leaves, of the address with the most of them; so whoever takes many places takes them
from himself. With all places taken, idle connections that had a key leave in the same way.
"""

from collections.abc import Iterable
from itertools import chain

from proxy.engine.interfaces import Counted
from proxy.limits import Limits

KNOWN_SECONDS = 600.0
"""For so long after its last connection with a good key an address has no share: it may be a
gateway's, or that of an office, whose clients all come at once when the proxy was restarted."""

Group = dict[Counted, None]
"""In the order in which they came."""


class ConnectionShares:
    """The connections of one proxy. `members` are all of them, also those on their way out, which
    are not counted any more."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.members: set[Counted] = set()
        self._strangers: dict[str, Group] = {}  # by source, none of them empty
        self._known: dict[str, Group] = {}
        self._count = self._strange = 0
        self._lately: dict[str, float] = {}  # sources, and until when they have no share

    @property
    def leaving(self) -> int:
        """How many are on their way out."""
        return len(self.members) - self._count

    def enter(self, one: Counted, now: float) -> bool:
        """One connection more, which somebody may have to make room for; False if nobody can."""
        self.members.add(one)
        source = one.source
        while not self._has_room(source, now):
            if not self._make_room(source, now):
                return False
        self._strangers.setdefault(source, {})[one] = None
        self._count += 1
        self._strange += 1
        return True

    def know(self, one: Counted, now: float) -> None:
        """A good key came on it."""
        if self._drop(self._strangers, one):
            self._strange -= 1
            self._known.setdefault(one.source, {})[one] = None
            self._lately[one.source] = now + KNOWN_SECONDS

    def leave(self, one: Counted, now: float) -> None:
        """One connection less."""
        self.members.discard(one)
        self._forget(one, now)

    def tick(self, now: float) -> None:
        """Forgets addresses from which no key came for long."""
        gone = [source for source, until in self._lately.items() if until < now]
        for source in gone:
            if source not in self._known:
                del self._lately[source]

    # -- Room

    def _has_room(self, source: str, now: float) -> bool:
        limits = self.limits
        return (
            self._count < limits.connections
            and self._strange < limits.strangers
            and (len(self._strangers.get(source, ())) < limits.share or self._has_keys(source, now))
        )

    def _has_keys(self, source: str, now: float) -> bool:
        return source in self._known or self._lately.get(source, 0.0) > now

    def _make_room(self, source: str, now: float) -> bool:
        limits = self.limits
        strangers: Iterable[Group] = _largest_first(self._strangers)
        if self._count < limits.connections and self._strange < limits.strangers:
            strangers = [self._strangers[source]]  # it is the share of this address
        elif self._strange < limits.strangers:
            strangers = chain(strangers, _largest_first(self._known))
        for group in strangers:
            for one in group:
                if one.spare:
                    self._forget(one, now)
                    one.make_room()
                    return True
        return False

    def _forget(self, one: Counted, now: float) -> None:
        """It is not counted any more."""
        if self._drop(self._strangers, one):
            self._strange -= 1
            self._count -= 1
        elif self._drop(self._known, one):
            self._count -= 1
            self._lately[one.source] = now + KNOWN_SECONDS

    def _drop(self, groups: dict[str, Group], one: Counted) -> bool:
        group = groups.get(one.source)
        if group is None or one not in group:
            return False
        del group[one]
        if not group:
            del groups[one.source]
        return True


def _largest_first(groups: dict[str, Group]) -> list[Group]:
    return sorted(groups.values(), key=len, reverse=True)
