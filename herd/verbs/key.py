"""`make key`: a fresh key, shown once."""

from argparse import Namespace
from pathlib import Path

from herd import plan
from herd.connections.remote import RemoteError, read
from herd.workstation import api_keys, key_entry


def key(inventory: str, options: Namespace) -> None:
    """A fresh key, and its entry where the next deploy finds it."""
    declared = plan.key_lists(read(inventory)) if Path(inventory).exists() else {}
    try:
        print(key_entry.make(options, declared, api_keys.beside(inventory)))
    except ValueError as error:
        raise RemoteError(str(error)) from None
