"""Where a herd's own files are: in the directory of its inventory, wherever a command is run.

group_data, models.lock, facts.lock, config.json and renderings are there, each named by who reads
it; so a herd can be a repository of its own, and the toolkit's own files are somewhere else.
"""

from pathlib import Path


def directory(inventory: str) -> Path:
    """Of an inventory file; of an inventory that is no file, the directory that is here."""
    file = Path(inventory)
    return file.parent if file.is_file() else Path()
