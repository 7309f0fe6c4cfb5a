"""facts.lock beside the inventory: what Macs said of themselves (herd/core/mac/facts_lock.py)."""

from pathlib import Path

from herd.core.mac import facts_lock
from herd.core.mac.facts_lock import Facts
from herd.workstation.herd_directory import directory


def beside(inventory: str) -> Path:
    """The facts file of an inventory."""
    return directory(inventory) / facts_lock.FILE


def read(path: Path) -> Facts:
    """Facts of Macs, none when there is no file. Raises ValueError, in words."""
    try:
        return facts_lock.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Facts()
    except UnicodeDecodeError:
        raise ValueError("is no text") from None
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
