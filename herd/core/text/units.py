"""Sizes for people."""

GIB = 1 << 30
MIB = 1 << 20


def gib(size: int) -> str:
    """Bytes as `59.0 GiB`, smaller ones as `12.3 MiB`."""
    return f"{size / GIB:.1f} GiB" if size >= GIB // 10 else f"{size / MIB:.1f} MiB"
