"""Whether requests are taken, and in which words that is said."""

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from proxy.exchange import Fetch, Request
from proxy.readiness import availability
from proxy.readiness.availability import READY, State, Word
from proxy.readiness.forward_progress import Running

_log = logging.getLogger("proxy.readiness")

# Whoever asks without a key is told neither models nor the owner's reasons.
NO_TOKEN = "a model gives no token"
STRANGERS = {State.DRAIN: "drained", State.MAINT: "under maintenance"}


NEWS = 5.0
"""Seconds until every gateway has asked how it is, which they do each two."""


class Readiness:
    """What is known now. It looks at the owner's file when told to, and not by itself."""

    def __init__(
        self, path: Path | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Without a path nothing is ever drained."""
        self.path = path
        self._clock, self._known_at = clock, 0.0
        self.news = 0.0
        """Seconds from a word of drain until those that ask how it is have heard; 0 if nobody
        asks."""
        self.word = READY
        self.closed = ""
        """Why new requests are refused; "" if they are not. Read for each request."""
        self.ending = False
        """Whether the proxy ends: it takes no more, and will be back."""
        self.stuck: dict[str, str] = {}
        """Models that are up and give no token, with what was found."""
        self.open: Callable[[], int] = lambda: 0
        """How many requests for models are under way."""
        self.slots: Callable[[], int | None] = lambda: None
        """How many this Mac can serve at once, all models together; None if nobody said."""
        self.name_of: Callable[[str], str] = str
        """llama-swap's name of a model that a client called otherwise."""
        self.numbers: Callable[[], bytes] = lambda: b""
        """What `/metrics` says."""
        self.watch: Callable[[Mapping[Request, Running]], None] | None = None
        """Sees what runs, each half second; None if nobody asks how it is."""
        self.upstream: bool | None = None
        """Whether llama-swap answered when last asked."""
        self.look()

    def look(self) -> None:
        """Reads the owner's word; one that cannot be read changes nothing."""
        if self.path is None:
            return
        try:
            said = availability.read(self.path)
        except ValueError as problem:
            _log.error("%s stays in force: %s", self.word.state, problem)
            return
        if said != self.word:
            _log.info("%s%s", said.state, f": {said.reason}" if said.reason else "")
        if said != self.word:
            news = self.news if said.state is State.DRAIN else 0.0
            self._known_at = self._clock() + news
        self.word = said
        self.closed = "" if said.state is State.READY else _refusal(said)

    @property
    def unheard(self) -> float:
        """Seconds for which gateways may still send requests, as they have not heard of a drain."""
        return max(0.0, self._known_at - self._clock())

    def refuses(self, *, owner: bool, gateway: bool = False) -> str:
        """What a new request is told; "" if it is let in. Who runs the Mac may try it while it is
        drained, as after a change; and what a gateway sends that cannot know yet is served, as it
        may be too large to be sent elsewhere."""
        if not self.closed or (owner and self.word.state is State.DRAIN):
            return ""
        if gateway and self.unheard:
            return ""
        return f"{self.closed}. It takes no new requests; try again in a moment."

    def agent_line(self) -> str:
        """For HAProxy's agent check: administrative state, then health, then a bound.

        Both are said each time, as HAProxy keeps what it is not told anew. Of its reason it reads
        what is behind a `#` that begins a word (src/tcpcheck.c, tcpcheck_agent_expect_reply), and
        `down#reason` as no word at all.
        """
        self.look()
        state = self.word.state
        if self.ending and state is State.READY:
            state = State.DRAIN
        words = [str(state)]
        if (slots := self.slots()) is not None:
            words.append(f"maxconn:{slots}")
        words.append(f"down #{NO_TOKEN}" if self.stuck else "up")
        return " ".join(words)

    async def not_live(self, fetch: Fetch) -> str:
        """Why nothing can be served here, drained or not; "" if all is well."""
        answer = await fetch("/health")  # which is shared by those who ask at once
        self.upstream = answer.status == 200
        if not self.upstream:
            return "no llama-swap"
        return NO_TOKEN if self.stuck else ""

    async def not_ready(self, fetch: Fetch) -> str:
        """Why nobody should be sent here; "" if all is well."""
        self.look()
        if self.word.state is not State.READY:
            return STRANGERS[self.word.state]
        return await self.not_live(fetch)


def _refusal(said: Word) -> str:
    what = "is drained" if said.state is State.DRAIN else "is under maintenance"
    return f"This server {what}" + (f": {said.reason}" if said.reason else "")
