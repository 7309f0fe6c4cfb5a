"""`make bench`: how fast each Mac reads a prompt and writes an answer, through the whole stack."""

import json
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any

from herd import plan
from herd.connections.remote import RemoteError, hosts
from herd.core.mac.endpoints import public_proxy
from herd.core.models import speeds
from herd.core.models.speeds import Speed
from herd.core.models.tasks import CHAT
from herd.core.settings.schema import Settings
from herd.core.text.harmless import harmless
from herd.verbs.machine_readable import document
from herd.workstation import api_keys, chat_completion, lock_models
from herd.workstation import certificate_files as tls
from herd.workstation.chat_completion import ChatError
from herd.workstation.herd_directory import directory

FILE = "speeds.json"
"""Beside the inventory: what was measured, of each host, model and build."""

_WORDS, _TOKENS = 512, 128
"""Of the prompt, and of the answer, as far as the model's context has room for them."""


def bench(
    inventory: str, limits: Sequence[str], *, model: str | None, runs: int, json_wanted: bool
) -> bool:
    """Measure one model on each host, and keep that; whether all answered."""
    state, chosen = hosts(inventory, limits)
    settings = plan.settings_of(state.inventory)
    path = directory(inventory) / FILE
    known = _read(path)
    found: dict[str, Any] = {}
    lost: dict[str, str] = {}
    for host in [host for host in chosen if settings[host.name].serves]:
        wanted = settings[host.name]
        try:
            name = model or _first(inventory, wanted)
            now = _measure(inventory, host, wanted, name, runs)
        except (ChatError, ValueError) as error:
            lost[host.name] = str(error)
            print(harmless(f"[{host.name}] {error}"), file=sys.stderr)
            continue
        before = speeds.last(known, host.name, name)
        known = speeds.kept(known, now)
        path.write_text(speeds.dump(known), encoding="utf-8")
        found[host.name] = {"now": asdict(now), "before": before and asdict(before)}
        if not json_wanted:
            print(harmless(f"[{host.name}] {name}: {speeds.words(now, before)}"))
    if json_wanted:
        print(document("bench", found, lost))
    return not lost


def _read(path: Path) -> list[Speed]:
    try:
        return speeds.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise RemoteError(f"{path} {error}") from None


def _first(inventory: str, settings: Settings) -> str:
    tasks = lock_models.tasks(inventory, settings)
    found = next((name for name in settings.models if tasks[name] == CHAT), None)
    if found is None:
        raise ValueError("none of its models chats; choose another with --model")
    return found


def _measure(inventory: str, host: Any, settings: Settings, name: str, runs: int) -> Speed:
    held = api_keys.shipped(settings, api_keys.beside(inventory)).held()
    if held.secret is None:
        raise ValueError(f"no key to ask with: {held.lacking}")
    url = public_proxy(settings, plan.address(host))
    certificate = tls.shown(settings, directory(inventory))
    declared = settings.models.get(settings.named(name))
    room = declared.ctx_size if declared and declared.ctx_size else 16 * _WORDS
    size, most = min(_WORDS, room // 16), min(_TOKENS, room // 4)
    # The first loads the model.
    _ask(url, certificate, held.secret, name, 4, 1)
    answers = [_ask(url, certificate, held.secret, name, size, most) for _ in range(runs)]
    when = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return speeds.measured(host.name, name, answers, when)


def _ask(url: str, certificate: bytes | None, key: str, model: str, size: int, most: int) -> Any:
    """An answer to words that nobody has asked before: nothing of them is cached."""
    chosen = random.Random()
    text = " ".join(chosen.choice(_VOCABULARY) for _ in range(size))
    said = {
        "model": model,
        "messages": [{"role": "user", "content": f"{chosen.random()} {text}"}],
        "max_tokens": most,
        "stream": False,
    }
    connection = chat_completion.connect(url, certificate)
    try:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection.request("POST", "/v1/chat/completions", json.dumps(said).encode(), headers)
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise ChatError(chat_completion.refusal(url, response, body))
        return json.loads(body)
    except (OSError, HTTPException) as error:
        why = str(error) or type(error).__name__
        raise ChatError(f"{url} is not reachable from here, or broke off: {why}") from error
    finally:
        connection.close()


_VOCABULARY = (
    *("river", "stone", "light", "paper", "engine", "morning", "garden", "number", "window"),
    *("silver", "answer", "winter", "people", "harbour", "music", "letter", "mountain", "signal"),
)
