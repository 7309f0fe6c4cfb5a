"""Conversations as agents hold them, each turn once the answer before it is there."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

OPENING, CONTEXT, TASK, RESULT = 1200, 400, 80, (120, 320)
"""Letters of an agent's instructions, of what it says of the directory, of what a person wants, and
of what a tool returns (from, to)."""


@dataclass
class Conversation:
    """One of an agent's: what it opens with is that agent's alone, what a person wants is not."""

    number: int
    turns: int
    agents: int
    """Programs that hold them."""
    told: random.Random = field(init=False)
    messages: list[dict[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        self.told = random.Random(self.number)
        agent = random.Random(f"agent {self.number // 4 % self.agents}")
        self.messages = [
            {"role": "system", "content": words(agent, OPENING)},
            # An agent tells of itself first, the same each time, as a message of its own or not.
            {"role": "user", "content": words(agent, CONTEXT)},
            {"role": "user", "content": words(self.told, TASK)},
        ]
        if self.number % 2:
            context, task = self.messages.pop(1), self.messages.pop(1)
            both = f"{context['content']}\n{task['content']}"
            self.messages.append({"role": "user", "content": both})

    @property
    def session(self) -> str:
        """What a client calls it, if it does."""
        return f"session-{self.number}"

    def bodies(self) -> Iterator[dict[str, Any]]:
        """Each turn's request; what is answered is to be given to `answered` before the next."""
        tools = [{"type": "function", "function": {"name": "run", "parameters": SCHEMA}}]
        for _ in range(self.turns):
            body: dict[str, Any] = {"model": "m", "messages": self.messages, "tools": tools}
            if self.number % 4 == 2:  # as Codex
                body["prompt_cache_key"] = self.session
            yield body

    @property
    def headers(self) -> dict[str, str]:
        """Of each of its requests."""
        return {"X-Session-Id": self.session} if self.number % 4 == 3 else {}

    def answered(self, text: str) -> None:
        """The answer, and what the tool that it asked for returned."""
        self.messages.append({"role": "assistant", "content": text})
        result = words(self.told, self.told.randint(*RESULT))
        self.messages.append({"role": "user", "content": result})


SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}}}


def words(source: random.Random, length: int) -> str:
    """So many letters of text that nobody else has."""
    return " ".join("".join(source.choices("abcdefghij", k=7)) for _ in range(length // 8))
