"""What tells others of the readiness, and finds it out, while the proxy runs."""

import logging
from typing import Any

from proxy.readiness.agent_listener import Agent
from proxy.readiness.control import Control
from proxy.readiness.control_client import beside
from proxy.readiness.forward_progress import Ask, ForwardProgress
from proxy.readiness.loaded import Loaded
from proxy.readiness.readiness import NEWS, Readiness

_log = logging.getLogger("proxy.readiness")


class Service:
    """The agent check, the watchdog that goes with it, and the socket for commands."""

    def __init__(self, readiness: Readiness, ask: Ask, *, deadline: float) -> None:
        self._readiness = readiness
        loaded = Loaded(ask, lambda model: readiness.name_of(model))
        self._agent = Agent(readiness.agent_line, loaded.has)
        self._progress = ForwardProgress(
            ask, readiness.stuck, deadline=deadline, name_of=readiness.name_of
        )
        self._control: Control | None = None
        if readiness.path is not None:
            answers = {"look": self._look, "check": self._check}
            pages = {"/metrics": readiness.numbers}
            self._control = Control(beside(readiness.path), answers, pages)

    async def start(self, agent: tuple[str, int] | None) -> None:
        """Listens; OSError if the agent's address cannot be listened on."""
        if agent is not None:
            try:
                where, _ = await self._agent.listen(*agent)
            except OSError as error:
                error.filename = f"{agent[0]} port {agent[1]}"
                raise
            _log.info("answering agent checks on %s", where)
            self._readiness.watch = self._progress.look
            self._readiness.news = NEWS
        if self._control is not None:
            await self._control.listen()
            # What was said since it was read, when nobody could be told.
            self._readiness.look()

    def close(self) -> None:
        """Ends all of it."""
        self._readiness.watch = None
        self._progress.close()
        self._agent.close()
        if self._control is not None:
            self._control.close()

    async def _look(self) -> dict[str, Any]:
        readiness = self._readiness
        readiness.look()
        return {
            "state": readiness.word.state,
            "open": readiness.open(),
            "unheard": readiness.unheard,
        }

    async def _check(self) -> dict[str, Any]:
        return {"models": await self._progress.check()}
