"""How fast a chip reads its memory, which bounds how fast it writes tokens."""

import re

# GB/s by Apple's technical specifications (apple.com, "memory bandwidth"), of each chip's largest
# variant: M3 Max and M4 Max have smaller ones of the same name.
_BANDWIDTH = {
    "M1": 68, "M1 Pro": 200, "M1 Max": 400, "M1 Ultra": 800,
    "M2": 100, "M2 Pro": 200, "M2 Max": 400, "M2 Ultra": 800,
    "M3": 100, "M3 Pro": 150, "M3 Max": 400, "M3 Ultra": 819,
    "M4": 120, "M4 Pro": 273, "M4 Max": 546,
    "M5": 153, "M5 Pro": 307, "M5 Max": 614,
}  # fmt: skip


def bandwidth(chip: str) -> int | None:
    """GB/s of a chip by its name ("Apple M4 Max", of machdep.cpu.brand_string); None of one that
    nobody knows here."""
    found = re.fullmatch(r"Apple (M\d+(?: (?:Pro|Max|Ultra))?)", chip.strip())
    return _BANDWIDTH.get(found[1]) if found else None
