"""What models take of a Mac's memory together, and what there is.

There are two limits: what the GPU may wire, for weights, KV cache and compute buffers; and all of
the memory, where the prompt cache is, too, beside macOS and whatever else runs.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from herd.core.models import caches, memory_estimate
from herd.core.models.memory_estimate import Served, Term
from herd.core.text.units import GIB, MIB, gib

# llama-server's --fit leaves as much of a device (--fit-target).
MARGIN = 1024 * MIB

# What Metal lets a GPU wire since macOS 26, in thousandths, by memory in GiB: measured for these
# sizes, so one in between is given the share of the next smaller one (AlexsJones/llmfit #754,
# llama.cpp #1870, antirez/ds4 #893).
_SINCE_26 = {16: 740, 36: 780, 64: 810, 128: 840}


@dataclass(frozen=True)
class Limits:
    """What a Mac has, in bytes; `source` says how what its GPU may wire is known."""

    gpu: int
    source: str
    memory: int
    reserve: int

    @classmethod
    def of(
        cls,
        size: int,
        macos: Sequence[int],
        *,
        wired_limit: int | None = None,
        gpu_memory: int | None = None,
        declared: int | None = None,
        reserve: int,
    ) -> "Limits":
        """Of a Mac with `size` bytes: as a deploy sets it (`declared`), by what it said itself,
        else by measurements of others."""
        if declared:
            return cls(declared, "mac_gpu_wired_limit_mb", size, reserve)
        if wired_limit:
            return cls(wired_limit, "iogpu.wired_limit_mb", size, reserve)
        if gpu_memory:
            return cls(gpu_memory, "llama-server --list-devices", size, reserve)
        major = macos[0] if macos else 0
        if major >= 26:
            share = next((s for g, s in reversed(_SINCE_26.items()) if size >= g * GIB), 667)
            part = size * share // 1000
            return cls(
                part, f"{share / 10:g} % of {gib(size)}, as measured of macOS 26", size, reserve
            )
        small = size <= 36 * GIB
        part = size * 2 // 3 if small else size * 3 // 4
        rule = f"{'2/3' if small else '3/4'} of {gib(size)}, the rule up to macOS 15"
        return cls(part, rule, size, reserve)


@dataclass(frozen=True)
class Sum:
    """The memory of models that are loaded together, on one Mac."""

    models: tuple[Served, ...]
    limits: Limits

    @cached_property
    def terms(self) -> list[tuple[str, Term]]:
        """Every term with its model. Raises ValueError when a header says too little."""
        return [(served.name, term) for served in self.models for term in served.terms]

    @property
    def gpu(self) -> int:
        """Bytes that the GPU wires, with a margin."""
        return MARGIN + sum(term.size for _, term in self.terms if term.gpu)

    @property
    def total(self) -> int:
        """Bytes of the Mac's memory, with what is left to macOS."""
        return self.limits.reserve + sum(term.size for _, term in self.terms)

    @property
    def fits(self) -> bool:
        """Whether both limits hold."""
        return self.gpu <= self.limits.gpu and self.total <= self.limits.memory

    @property
    def is_sure(self) -> bool:
        """Whether the sum is llama.cpp's own, of all models, and not an upper estimate."""
        return all(
            served.told or (caches.is_known(served.facts.architecture) and served.facts.complete)
            for served in self.models
        )

    @property
    def weights_fit(self) -> bool:
        """Whether weights alone leave the margin and the reserve."""
        weights = sum(served.weights for served in self.models)
        limits = self.limits
        return weights + MARGIN <= limits.gpu and weights + limits.reserve <= limits.memory

    @property
    def name(self) -> str:
        """The models' names."""
        names = [served.name for served in self.models]
        return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} together"

    def lines(self) -> list[str]:
        """A table: the terms of either limit, what they come to, and what there is."""
        several = len(self.models) > 1
        rows: list[tuple[str, str, str]] = []

        def add(on_gpu: bool) -> None:
            for name, term in self.terms:
                if term.gpu is on_gpu:
                    rows.append(
                        (
                            f"{name}: {term.name}" if several else term.name,
                            gib(term.size),
                            term.source,
                        )
                    )

        limits = self.limits
        add(True)
        rows.append(("margin", gib(MARGIN), "as llama-server's --fit leaves"))
        rows.append(("= GPU", gib(self.gpu), f"of {gib(limits.gpu)}: {limits.source}"))
        add(False)
        rows.append(("macOS and others", gib(limits.reserve), "preflight_memory_reserve_gb"))
        rows.append(("= memory", gib(self.total), f"of {gib(limits.memory)}; no margin counts"))
        first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
        found = [f"{a:<{first}}  {b:>{second}}  {c}" for a, b, c in rows]
        for served in self.models:
            found += [f"note: {served.name}: {note}" for note in memory_estimate.notes(served)]
        return found

    @property
    def values(self) -> dict[str, Any]:
        """The same for a program, in bytes."""
        return {
            "models": [served.name for served in self.models],
            "fits": self.fits,
            "sure": self.is_sure,
            "gpu": {"takes": self.gpu, "has": self.limits.gpu, "source": self.limits.source},
            "memory": {"takes": self.total, "has": self.limits.memory},
            "margin": MARGIN,
            "reserve": self.limits.reserve,
            "terms": [{"model": name, **asdict(term)} for name, term in self.terms],
        }

    @property
    def verdict(self) -> str:
        """One sentence."""
        if self.fits:
            free = min(self.limits.gpu - self.gpu, self.limits.memory - self.total)
            return f"fits, {gib(free)} to spare"
        over = []
        if self.gpu > self.limits.gpu:
            over.append(f"{gib(self.gpu - self.limits.gpu)} more than its GPU may wire")
        if self.total > self.limits.memory:
            over.append(f"{gib(self.total - self.limits.memory)} more than its memory")
        return f"does not fit: it takes {' and '.join(over)}"
