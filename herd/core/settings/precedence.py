"""Settings come in layers: group_data/all.py, groups, the host, --data. Later ones win.

`models` and `llama_swap_groups` are merged entry by entry and setting by setting, so that one
model's context for one host is one line; `None` removes an entry. Each value remembers its layer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

MERGED = ("models", "model_defaults", "llama_swap_groups")


@dataclass(frozen=True)
class Layer:
    """One source of settings, under the name that a person knows it by."""

    source: str
    data: Mapping[str, Any]


@dataclass
class Merged:
    """The values that hold, and for each path ("proxy_port", "models.x.ttl") its source."""

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    def source(self, path: str) -> str:
        """The source of `path`, or of the nearest thing above it."""
        while path:
            if path in self.sources:
                return self.sources[path]
            path = path.rpartition(".")[0]
        return "group_data/all.py"

    def place(self, host: str, path: str) -> str:
        """Where a person finds what a host has there."""
        return f"{host}: {path}, from {self.source(path)}"


def merge(layers: Iterable[Layer]) -> Merged:
    """One set of values out of layers, lowest priority first."""
    merged = Merged()
    for layer in layers:
        for key, value in layer.data.items():
            below = merged.values.get(key)
            if key in MERGED and isinstance(value, Mapping) and isinstance(below, Mapping):
                merged.values[key] = _over(below, value, key, layer.source, merged.sources)
            else:
                merged.values[key] = value
                _note(value, key, layer.source, merged.sources)
    for key in MERGED:
        entries = merged.values.get(key)
        if isinstance(entries, Mapping):
            merged.values[key] = {
                name: entry
                for name, entry in entries.items()
                if entry is not None or key == "model_defaults"
            }
    return merged


def _over(
    below: Mapping[str, Any],
    above: Mapping[str, Any],
    path: str,
    source: str,
    sources: dict[str, str],
) -> dict[str, Any]:
    """`above` laid over `below`, mappings inside them too."""
    result = dict(below)
    for name, value in above.items():
        inner = result.get(name)
        if isinstance(value, Mapping) and isinstance(inner, Mapping):
            result[name] = _over(inner, value, f"{path}.{name}", source, sources)
        else:
            result[name] = value
            _note(value, f"{path}.{name}", source, sources)
    return result


def _note(value: Any, path: str, source: str, sources: dict[str, str]) -> None:
    sources[path] = source
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _note(inner, f"{path}.{name}", source, sources)
