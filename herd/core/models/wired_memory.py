"""How much of a Mac's memory its GPU may be let wire, so that macOS stays well."""

from herd.core.text.units import GIB, MIB

# 488 of 512 GiB brought leaks and panics (omlx #2184). On small Macs macOS itself lets the GPU have
# three quarters.
_LEAST_FOR_MACOS = 8 * GIB


def most(memory: int) -> int:
    """The largest limit for a Mac with so many bytes, in MiB: macOS keeps an eighth, but at least
    8 GiB, or a quarter where that is less."""
    return (memory - max(memory // 8, min(_LEAST_FOR_MACOS, memory // 4))) // MIB
