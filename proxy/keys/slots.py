"""How many requests each model serves at once, by all the names it is asked for by. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

RULE = (
    '"slots" must be a list as [{"names": ["gpt-oss-120b", "gpt"], "slots": 4}], each name once, '
    "llama-swap's first"
)


@dataclass(frozen=True, slots=True)
class Slots:
    """Of one model."""

    names: tuple[str, ...]
    """llama-swap's first, then its aliases."""
    count: int


class SlotTable:
    """Of all models that somebody said them of."""

    def __init__(self, entries: Iterable[Slots] = ()) -> None:
        self._entries = tuple(entries)
        self._of = {name: entry for entry in self._entries for name in entry.names}

    def of(self, model: str | None) -> Slots | None:
        """Those of the model that this name stands for; None if nobody said."""
        return self._of.get(model) if model is not None else None

    def taken(self, model: str | None, running: Iterable[str | None]) -> str:
        """Why one request more for this model would have to wait for one that runs; or ""."""
        entry = self.of(model)
        if entry is None or sum(name in entry.names for name in running) < entry.count:
            return ""
        return f"All {entry.count} slots of this model are taken here. Try again in a moment."

    def name_of(self, model: str) -> str:
        """llama-swap's name for it, as far as that is known."""
        entry = self._of.get(model)
        return model if entry is None else entry.names[0]

    @property
    def total(self) -> int | None:
        """Of all models together; None if nobody said."""
        return sum(entry.count for entry in self._entries) or None


def read_slots(value: object) -> tuple[SlotTable, list[str]]:
    """The table, and what is wrong with it."""
    if not isinstance(value, list):
        return SlotTable(), [RULE]
    entries = [entry for item in value if (entry := _entry(item))]
    names = [name for entry in entries for name in entry.names]
    if len(entries) < len(value) or len(set(names)) < len(names):
        return SlotTable(), [RULE]
    return SlotTable(entries), []


def _entry(item: Any) -> Slots | None:
    if not isinstance(item, Mapping) or item.keys() != {"names", "slots"}:
        return None
    names, count = item["names"], item["slots"]
    if not (isinstance(names, list) and names and all(type(n) is str and n for n in names)):
        return None
    if type(count) is not int or not 1 <= count <= 4096:
        return None
    return Slots(tuple(names), count)
