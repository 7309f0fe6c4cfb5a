"""`make lock`: models.lock beside the inventory, from the Hub."""

from collections.abc import Sequence

from herd import plan
from herd.connections.remote import RemoteError, hosts
from herd.core.text.harmless import harmless
from herd.workstation import lock_models


def lock(inventory: str, names: Sequence[str]) -> None:
    """Have models.lock beside the inventory say what the declared models are on the Hub now."""
    state, _ = hosts(inventory, [])
    settings = plan.settings_of(state.inventory)
    declared = {host: list(wanted.models.values()) for host, wanted in settings.items()}
    try:
        lock_models.make(lock_models.beside(inventory), declared, names, _say)
    except ValueError as error:
        raise RemoteError(str(error)) from None


def _say(line: str) -> None:
    """What the Hub named is in it."""
    print(harmless(line), flush=True)
