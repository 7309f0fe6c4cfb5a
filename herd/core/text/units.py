"""Sizes for people."""

GIB = 1 << 30
MIB = 1 << 20


def gib(size: int) -> str:
    """Bytes as `59.0 GiB`, smaller ones as `12.3 MiB`."""
    return f"{size / GIB:.1f} GiB" if size >= GIB // 10 else f"{size / MIB:.1f} MiB"


def duration(seconds: int) -> str:
    """As `3 d 4 h`, `4 h 12 min`, `12 min` or `40 s`."""
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{seconds} s"
