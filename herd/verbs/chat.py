"""`make chat`: a chat completion from the workstation, through the whole chain; of a model that
does something else, that."""

import sys
from collections.abc import Sequence
from typing import Any

from herd import plan
from herd.connections.remote import RemoteError, hosts
from herd.core.mac.endpoints import public_proxy
from herd.core.models.tasks import CHAT
from herd.core.settings.schema import Settings
from herd.core.text.harmless import harmless
from herd.workstation import api_keys, chat_completion, lock_models
from herd.workstation import certificate_files as tls
from herd.workstation.herd_directory import directory


def chat(
    inventory: str, limits: Sequence[str], prompt: str, *, model: str | None, stream: bool
) -> bool:
    """An answer to this workstation from each host's endpoint, printed as it comes."""
    state, chosen = hosts(inventory, limits)
    settings = plan.settings_of(state.inventory)
    return all(
        [_talk(h, settings[h.name], inventory, prompt, model=model, stream=stream) for h in chosen]
    )


def _talk(
    host: Any, settings: Settings, inventory: str, prompt: str, *, model: str | None, stream: bool
) -> bool:
    config = api_keys.beside(inventory)
    try:
        held = api_keys.shipped(settings, config).held()
    except ValueError as error:
        raise RemoteError(f"{error}: {api_keys.how_to_mend(config)}") from None
    try:
        certificate = tls.shown(settings, directory(inventory))
    except ValueError as error:
        raise RemoteError(str(error)) from None
    tasks = lock_models.tasks(inventory, settings)
    # Whoever wants to chat means a model that can, where there is one.
    names = sorted(filter(held.may_use, settings.models), key=lambda each: tasks[each] != CHAT)
    name = model or next(iter(names), None)
    if held.secret is None or name is None:
        why = held.lacking or "this key may use none of its models; choose an alias with --model"
        print(f"[{host.name}] no key to ask with: {why}", file=sys.stderr)
        return False
    url = public_proxy(settings, plan.address(host))
    pieces = chat_completion.complete(
        *(url, held.secret, name, prompt),
        stream=stream,
        task=tasks.get(settings.named(name), CHAT),
        certificate=certificate,
    )
    try:
        chat_completion.say(f"[{host.name}] {name} at {url}: ", pieces)
    except chat_completion.ChatError as error:
        print(f"[{host.name}] {name}: {harmless(str(error))}", file=sys.stderr)
        return False
    return True
