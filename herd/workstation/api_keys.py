"""The keys of a host: `api_keys` of its data, else config.json beside the inventory, else API_KEYS.

They are shipped as the config.json of a Mac and are checked by the proxy's own rules. A key in
clear text is only held here, to try the endpoint with; HERD_API_KEY is the place for it.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from herd.core.settings.schema import Settings
from herd.workstation.herd_directory import directory
from herd.workstation.typed_commands import command
from proxy.body.media_urls import faults_of_prefixes
from proxy.keys.key import Key, Keys, Scope
from proxy.keys.keys_file import new_key, parse_key_list, parse_keys, read_entries
from proxy.keys.origins import fault_of

CONFIG = Path("config.json")
HELD = "HERD_API_KEY"

_MEDIA_FIX = 'write the beginning of each, all of its host: "https://images.example.com/".'
_ORIGINS_FIX = 'write each as a browser sends it: "https://chat.example.com".'


@dataclass(frozen=True)
class Held:
    """A key in clear text that this workstation has for a host, or in words why it has none."""

    secret: str | None = field(default=None, repr=False)
    key: Key | None = None
    lacking: str = ""

    def may_use(self, model: str) -> bool:
        """Whether it opens this model."""
        return self.key is not None and self.key.may_use(model)


class Mark(NamedTuple):
    """Enough of an entry to see that it changed: its name, and the beginning of a digest."""

    name: str
    digest: str


@dataclass(frozen=True)
class Shipped:
    """The config.json of a Mac, which may hold plain keys, the keys that it lets in, and the
    workstation's own `config`."""

    text: str = field(repr=False)
    keys: Keys
    config: Path = CONFIG

    @property
    def names(self) -> list[str]:
        """How the proxy calls the keys, with what a person should know of them."""
        return [f"{key.name}{_ending(key)}" for key in self.keys.entries]

    @property
    def administrators(self) -> list[str]:
        """Whose keys open the dashboard."""
        now = time.time()
        able = (k for k in self.keys.entries if Scope.ADMIN in k.scopes and not k.expired(now))
        return list(dict.fromkeys(key.name for key in able))

    @property
    def marks(self) -> list[Mark]:
        """What scripts/look/key-marks.sh says of this file."""
        entries = enumerate(json.loads(self.text)["apiKeys"], start=1)
        return [_mark(number, entry) for number, entry in entries]

    def held(self) -> Held:
        """The key to try the endpoint with: HERD_API_KEY, else a plain one of this workstation."""
        own = os.environ.get(HELD, "").strip()
        for secret in [own] if own else _plain(self.config):
            if (key := self.keys.find(secret)) and not (lacking := _unusable(key)):
                return Held(secret, key)
            if own:
                lacking = lacking if key else f"is none of this host's keys: {', '.join(self._who)}"
                return Held(lacking=f"{HELD} {lacking}")
        return Held(lacking=f"set {HELD} to the key of {' or '.join(self._who)}")

    @property
    def _who(self) -> list[str]:
        """Whose key would do."""
        useful = [key.name for key in self.keys.entries if not _unusable(key)]
        return list(dict.fromkeys(useful)) or ["somebody who may infer, of which there is none"]


def beside(inventory: str) -> Path:
    """The workstation's own keys for the Macs of an inventory, which git never tracks."""
    return directory(inventory) / CONFIG


def shipped(settings: Settings, config: Path = CONFIG) -> Shipped:
    """What a host with valid settings gets. Raises ValueError with what is wrong here."""
    values: list[Any] = list(settings.api_keys)
    allowed = {
        "allowOrigins": settings.proxy_allow_origins,
        "allowImageUrls": settings.proxy_allow_image_urls,
    }
    if not values:
        own = of_workstation(config)
        values = own["apiKeys"]
        allowed = {name: given or own.get(name, []) for name, given in allowed.items()}
    keys, faults = read_entries(values)
    if faults:
        raise ValueError("; ".join(faults))
    contexts = _contexts(settings)
    extra = {**allowed, "contexts": contexts, "slots": _slots(settings)}
    document = {"apiKeys": values, **{name: given for name, given in extra.items() if given}}
    origins, media = allowed.values()
    return Shipped(
        json.dumps(document, indent=2) + "\n", Keys(keys, origins, media, contexts), config
    )


def _contexts(settings: Settings) -> dict[str, int]:
    """Tokens that a prompt can have, by every name of a model: more is charged for none."""
    return {
        name: model.total_ctx_size
        for model in settings.models.values()
        if model.ctx_size
        for name in (model.name, *model.aliases)
    }


def _slots(settings: Settings) -> list[dict[str, Any]]:
    """How many requests each model serves at once, for a gateway, which goes elsewhere then."""
    if settings.proxy_agent_port is None:
        return []
    return [
        {"names": [model.name, *model.aliases], "slots": model.parallel}
        for model in settings.models.values()
    ]


def of_workstation(config: Path = CONFIG) -> dict[str, Any]:
    """config.json as it is, else one with the keys of API_KEYS.

    Raises ValueError with what is wrong and how to mend it.
    """
    try:
        if config.exists():
            return read_config(config)
        if listed := os.environ.get("API_KEYS", "").strip():
            parse_key_list(listed)
            return {"apiKeys": _split(listed)}
    except ValueError as error:
        raise ValueError(str(error) if config.exists() else f"API_KEYS: {error}") from None
    raise ValueError(f"There is no API key, neither in api_keys nor in {config} nor in API_KEYS")


def read_config(config: Path = CONFIG) -> dict[str, Any]:
    """A config.json of the workstation. Raises ValueError with what is wrong."""
    try:
        text = config.read_text(encoding="utf-8-sig")
        parse_keys(text)
    except UnicodeDecodeError as error:
        raise ValueError(f"{config}: it is not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise ValueError(f"{config} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{config}: {error}") from None
    document: dict[str, Any] = json.loads(text)
    return document


def how_to_mend(config: Path = CONFIG) -> str:
    """What to do when `of_workstation` raises."""
    if config.exists():
        return f"mend {config}, or remove it; docs/proxy.md shows its form."
    return f"run `{command('key', NAME='me')}`, or set API_KEYS."


def faults(values: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with `api_keys`, and how to mend each; no key is quoted."""
    judged = []
    for number, value in enumerate(values, start=1):
        if isinstance(value, str):
            how = command("key", NAME="...")
            fix = f"remove it, as group_data is read by many; `{how}` makes one and its entry."
            yield f"Key {number} is in clear text.", fix
        elif isinstance(value, dict) and not all(isinstance(name, str) for name in value):
            yield f"Key {number} has a field whose name is no text.", "docs/proxy.md lists them."
        else:
            judged.append(value)
            continue
        judged.append(new_key())  # the others keep their numbers
    for fault in read_entries(judged)[1]:
        what, _, fix = fault.partition("; ")
        fix = fix.replace("python -m proxy keys new NAME", command("key", NAME="..."))
        yield f"{what[0].upper()}{what[1:]}.", f"{fix or 'docs/proxy.md tells each field'}."


def faults_in_origins(origins: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What is wrong with `proxy_allow_origins`, and how to mend it."""
    for origin in origins:
        if fault := fault_of(origin):
            yield f"{origin!r} {fault}.", _ORIGINS_FIX


def faults_in_image_urls(prefixes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What is wrong with `proxy_allow_image_urls`, and how to mend it."""
    for prefix in prefixes:
        if faults_of_prefixes([prefix]):
            yield f"{prefix!r} is no beginning of URLs.", _MEDIA_FIX


def difference(there: Iterable[Mark], wanted: Iterable[Mark]) -> str:
    """Whose keys come, go or change, as `+ ben, - carl, changed: anna`; "" if none does."""
    before, after = _by_name(there), _by_name(wanted)
    changed = ", ".join(n for n in after if n in before and after[n] != before[n])
    come = [f"+ {name}" for name in after if name not in before]
    go = [f"- {name}" for name in before if name not in after]
    return ", ".join([*come, *go, *([f"changed: {changed}"] if changed else [])])


def _by_name(marks: Iterable[Mark]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for mark in marks:
        found.setdefault(mark.name, set()).add(mark.digest)
    return found


def _mark(number: int, entry: Any) -> Mark:
    lines = json.dumps([entry], indent=2).splitlines()[1:-1]
    name = f"#{number}"
    if isinstance(entry, dict):
        lines, name = lines[1:-1], entry["name"]
    text = "".join(line.lstrip(" ").removesuffix(",") for line in lines)
    return Mark(name, hashlib.sha256(text.encode()).hexdigest()[:4])


def _ending(key: Key) -> str:
    if key.expires is None:
        return ""
    if key.expired(time.time()):
        return " (expired)"
    return f" (until {datetime.fromtimestamp(key.expires, UTC):%Y-%m-%d %H:%M} UTC)"


def _unusable(key: Key) -> str:
    """Why nothing can be tried with a key."""
    if key.expired(time.time()):
        return f"is the key of {key.name}, which has expired"
    if Scope.INFERENCE not in key.scopes:
        return f"is the key of {key.name}, which has no scope for inference"
    return ""


def _plain(config: Path) -> list[str]:
    """Every key in clear text of this workstation."""
    found = _split(os.environ.get("API_KEYS", ""))
    try:
        mine = read_config(config)["apiKeys"] if config.exists() else []
    except ValueError:
        return found
    return [key for key in mine if isinstance(key, str)] + found


def _split(listed: str) -> list[str]:
    return [part.strip() for part in listed.split(",") if part.strip()]
