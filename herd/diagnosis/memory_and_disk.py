"""Memory and disk: pressure, swap, what the GPU may wire, what macOS ended for room."""

from collections.abc import Iterator

from herd.core.text.units import GIB, MIB, gib
from herd.diagnosis.finding import Finding, Patient

_SWAP = GIB
"""Of swap in use, after which weights may be on disk; macOS keeps a little there always."""
_OF_THE_SYSTEM = 4 * GIB
"""That the GPU's limit leaves to macOS at the least; with less it has panicked
(`completeMemory() prepare count underflow`, ml-explore/mlx#3186)."""
_OF_MACOS = 8 * GIB
"""Wired by macOS itself, at the most; what a killed llama-server had wired has stayed so until the
Mac was restarted (jundot/omlx #2184)."""
_SMALLER = (
    "serve fewer or smaller models, or lower ctx_size; `top -o mem` on the Mac shows what else runs"
)


def pressure(patient: Patient) -> Iterator[Finding]:
    """macOS's own judgement."""
    if (patient.vitals.pressure or 1) > 1:
        word = patient.vitals.pressure_word
        yield Finding("memory-pressure", f"memory pressure is {word or 'high'}", _SMALLER)


def swap(patient: Patient) -> Iterator[Finding]:
    """A model in swap answers at the speed of a disk."""
    used = patient.vitals.swap_used or 0
    if used >= _SWAP:
        yield Finding("swap", f"{gib(used)} are in swap", _SMALLER)


def wired_limit(patient: Patient) -> Iterator[Finding]:
    """One that leaves macOS too little."""
    limit, memory = patient.mac.wired_limit or 0, patient.mac.memory
    if limit and memory and limit > memory - _OF_THE_SYSTEM:
        yield Finding(
            "wired-limit",
            f"the GPU may wire {gib(limit)} of {gib(memory)}, and macOS needs memory, too",
            f"`sudo sysctl iogpu.wired_limit_mb={(memory - 8 * GIB) // MIB}` on the Mac, or 0 for "
            "macOS's own choice",
        )


def wired(patient: Patient) -> Iterator[Finding]:
    """What nobody uses and nobody gets: a llama-server that was killed may leave it behind."""
    held, memory = patient.vitals.wired or 0, patient.mac.memory
    nobody = not patient.served.states and patient.served.llama_swap == 200
    if nobody and memory and held > max(memory // 4, _OF_MACOS):
        yield Finding(
            "wired-memory",
            f"{gib(held)} of {gib(memory)} are wired, though no model is loaded",
            "look whether something else uses the GPU (`top -o mem` on the Mac); else only a "
            "restart of the Mac frees it",
        )


def jetsam(patient: Patient) -> Iterator[Finding]:
    """What macOS ended for room, in the last week."""
    found = [path for path in patient.symptoms.reports if "JetsamEvent" in path]
    if found:
        yield Finding("jetsam", f"macOS ended programs for memory: {max(found)}", _SMALLER)


def disk(patient: Patient) -> Iterator[Finding]:
    """Less than what is kept in reserve: logs, updates and swap need some."""
    reserve = patient.layout.settings.preflight_disk_reserve_gb * GIB
    free = patient.disk_free
    if free is not None and free < reserve:
        yield Finding(
            "disk",
            f"{gib(free)} are free, less than the {gib(reserve)} of preflight_disk_reserve_gb",
            "free some: `make deploy ARGS='--data models_prune=true'` removes models that are no "
            "longer declared",
        )


def failing_disk(patient: Patient) -> Iterator[Finding]:
    """By its own word; one that is not asked, as outside, says that."""
    said = patient.symptoms.smart
    if said and said not in ("Verified", "Not Supported"):
        yield Finding(
            "disk-fails",
            f"the Mac's disk says of itself: SMART status {said}",
            "copy what is only there, and have it replaced",
        )


RULES = (pressure, swap, wired_limit, wired, jetsam, disk, failing_disk)
