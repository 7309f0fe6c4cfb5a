"""Limits that are shared with other gateways: who they are, and that each is asked."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

from proxy.gateways.answering import Answering
from proxy.gateways.asking import Asking
from proxy.gateways.others import Others
from proxy.keys.grants import Stamp, stamp
from proxy.keys.key import Keys, Limits
from proxy.keys.shared_limits import SharedMeters

LOOK_SECONDS = 2.0
"""Between two looks at the file of the others."""


class Sharing:
    """Made before the policy, which has the meters; started and closed with the server."""

    def __init__(self, others: Path, key: Path, authorities: Path | None = None) -> None:
        """The file of the others, that of this gateway's key, and that of who may vouch for them,
        in PEM; None is whom the system trusts."""
        self._others = Others(others)
        self._key = key
        self._authorities = authorities
        self._asked: dict[str, tuple[Asking, asyncio.Task[None]]] = {}
        self._begin: Callable[[str, str], Asking]
        self._trusted: tuple[Stamp, ssl.SSLContext] | None = None
        self._watch: asyncio.Task[None] | None = None
        self.answering: Answering

    def serve(
        self, meters: SharedMeters, keys: Callable[[], Keys], clock: Callable[[], float]
    ) -> None:
        """What is shared, told by the policy."""
        self.answering = Answering(meters, clock)

        def limits(name: str) -> Limits | None:
            return keys().limits(name)

        def asking(name: str, url: str) -> Asking:
            return Asking(name, url, self._key, self._vouched, meters, limits, clock)

        self._begin = asking

    @property
    def heard(self) -> Mapping[str, bool]:
        """Of each other gateway, whether it is."""
        return {name: asking.heard for name, (asking, _) in self._asked.items()}

    def look(self) -> None:
        """Asks those who are in the file now, and nobody else."""
        self._others.look()
        urls = self._others.urls
        for name, (asking, task) in list(self._asked.items()):
            if urls.get(name) != asking.url or task.done():
                task.cancel()
                del self._asked[name]
        for name in urls.keys() - self._asked.keys():
            asking = self._begin(name, urls[name])
            self._asked[name] = asking, asyncio.get_running_loop().create_task(asking.run())

    def start(self) -> None:
        """Begins to ask. To be called in a running event loop."""
        self._watch = asyncio.get_running_loop().create_task(self._look_often())

    def close(self) -> None:
        """Asks nobody and keeps nobody waiting."""
        if self._watch is not None:
            self._watch.cancel()
        for _, task in self._asked.values():
            task.cancel()
        self._asked.clear()
        self.answering.end()

    async def _look_often(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def _vouched(self) -> ssl.SSLContext:
        """By whom: read again when the file has changed, and not each time that one is dark."""
        found = stamp(str(self._authorities)) if self._authorities else None
        if self._trusted is None or found != self._trusted[0]:
            self._trusted = found, ssl.create_default_context(cafile=self._authorities)
        return self._trusted[1]
