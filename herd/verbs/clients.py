"""What clients need or do: keys, a chat completion, the books."""

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyinfra.api import QuoteString, StringCommand

from herd import chat, keys, newkey, plan, tls
from herd.core.bundle import bundle
from herd.core.endpoints import public_proxy
from herd.core.harmless import harmless
from herd.core.settings import Settings
from herd.facts.proxy import Releases
from herd.remote import Remote, RemoteError, hosts, read


def key(inventory: str, options: Namespace) -> None:
    """A fresh key, and its entry where the next deploy finds it."""
    declared = plan.key_lists(read(inventory).inventory) if Path(inventory).exists() else {}
    try:
        print(newkey.make(options, declared))
    except ValueError as error:
        raise RemoteError(str(error)) from None


def talk(
    inventory: str, limits: Sequence[str], prompt: str, *, model: str | None, stream: bool
) -> bool:
    """A chat completion from this workstation at each host's endpoint, printed as it comes."""
    state, chosen = hosts(inventory, limits)
    settings = plan.settings_of(state.inventory)
    return all([_talk(h, settings[h.name], prompt, model=model, stream=stream) for h in chosen])


def _talk(host: Any, settings: Settings, prompt: str, *, model: str | None, stream: bool) -> bool:
    try:
        held = keys.shipped(settings).held()
    except ValueError as error:
        raise RemoteError(f"{error}: {keys.how_to_mend()}") from None
    try:
        certificate = tls.shown(settings)
    except ValueError as error:
        raise RemoteError(str(error)) from None
    name = model or next(filter(held.may_use, settings.models), None)
    if held.secret is None or name is None:
        why = held.lacking or "this key may use none of its models; choose an alias with --model"
        print(f"[{host.name}] no key to ask with: {why}", file=sys.stderr)
        return False
    url = public_proxy(settings, plan.address(host))
    pieces = chat.complete(url, held.secret, name, prompt, stream=stream, certificate=certificate)
    try:
        chat.say(f"[{host.name}] {name} at {url}: ", pieces)
    except chat.ChatError as error:
        print(f"[{host.name}] {name}: {harmless(str(error))}", file=sys.stderr)
        return False
    return True


def usage(remotes: Sequence[Remote], options: Sequence[str], *, json_wanted: bool) -> bool:
    """What each key used, from the books of each host's proxy."""
    done = True
    books: dict[str, Any] = {}
    for remote in remotes:
        command = _usage_command(remote, [*options, *(["--json"] if json_wanted else [])])
        if command is None:
            done &= remote.say(False, ["there is no proxy: deploy first"])
        elif not json_wanted:
            done &= remote.follow(command)
        else:
            ok, lines = remote.run(command)
            try:
                books |= {remote.host.name: json.loads("\n".join(lines))} if ok else {}
            except (ValueError, RecursionError):
                ok, lines = False, ["its books cannot be read"]
            if not ok:
                done &= remote.say(False, lines)
    if json_wanted:
        print(json.dumps(books, indent=2))
    return done


def _usage_command(remote: Remote, options: Sequence[str]) -> StringCommand | None:
    """By the release that is there, which need not be ours."""
    layout, ours = remote.layout, bundle()
    whole = sorted(remote.host.get_fact(Releases, directory=layout.proxy).whole)
    found = []
    for wanted, kind in (
        (layout.proxy_release(ours), "release-"),
        (layout.proxy_environment(ours), "env-"),
    ):
        there = [path for path in whole if path.rpartition("/")[2].startswith(kind)]
        if not there:
            return None
        found.append(wanted if wanted in there else there[-1])
    release, environment = found
    return StringCommand(
        *("PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 env", QuoteString(f"PYTHONPATH={release}")),
        *(QuoteString(f"{environment}/bin/python"), "-m proxy usage"),
        *("--db", QuoteString(layout.usage), *map(QuoteString, options)),
    )
