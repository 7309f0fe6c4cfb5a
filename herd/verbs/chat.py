"""`make chat`: a chat completion from the workstation, through the whole chain; of a model that
does something else, that."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from herd import plan
from herd.connections.remote import RemoteError, hosts
from herd.core.mac.endpoints import public_gateway, public_proxy
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
    gateways = plan.gateways_of(state.inventory, settings, inventory)

    def talk(host: Any) -> bool:
        own = settings[host.name]
        if not own.serves:  # a gateway, which answers for the others
            first = [pool.names[0] for pool in gateways[host.name].pools]
            url = public_gateway(own, plan.address(host))
            tasks = {n: t for each in settings.values() for n, t in _tasks(inventory, each).items()}
        else:
            first, url = list(own.models), public_proxy(own, plan.address(host))
            tasks = _tasks(inventory, own)
        asked = _Asked(url, first, tasks)
        return _talk(host, own, asked, inventory, prompt, model=model, stream=stream)

    return all([talk(host) for host in chosen])


@dataclass(frozen=True)
class _Asked:
    """An endpoint, the names of its models, and what those do that are known."""

    url: str
    models: Sequence[str]
    tasks: Mapping[str, str]


def _tasks(inventory: str, settings: Settings) -> dict[str, str]:
    return lock_models.tasks(inventory, settings)


def _talk(
    host: Any,
    settings: Settings,
    asked: _Asked,
    inventory: str,
    prompt: str,
    *,
    model: str | None,
    stream: bool,
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
    # Whoever wants to chat means a model that can, where there is one.
    usable = filter(held.may_use, asked.models)
    names = sorted(usable, key=lambda each: asked.tasks.get(each) != CHAT)
    name = model or next(iter(names), None)
    if held.secret is None or name is None:
        why = held.lacking or "this key may use none of its models; choose an alias with --model"
        print(f"[{host.name}] no key to ask with: {why}", file=sys.stderr)
        return False
    url = asked.url
    pieces = chat_completion.complete(
        *(url, held.secret, name, prompt),
        stream=stream,
        task=asked.tasks.get(settings.named(name), CHAT),
        certificate=certificate,
    )
    try:
        chat_completion.say(f"[{host.name}] {name} at {url}: ", pieces)
    except chat_completion.ChatError as error:
        print(f"[{host.name}] {name}: {harmless(str(error))}", file=sys.stderr)
        return False
    return True
