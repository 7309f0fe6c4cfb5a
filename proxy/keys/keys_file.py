"""What config.json and API_KEYS may say about keys, and a fresh one. No message quotes a key."""

import json
import re
import secrets
from collections.abc import Sequence

from proxy.body.media_urls import faults_of_prefixes
from proxy.keys.key import Key, Keys
from proxy.keys.keys_file_entry import FIELDS, read_entry
from proxy.keys.origins import fault_of
from proxy.keys.slots import read_slots


def new_key() -> str:
    """A fresh key: 256 random bits, recognisable by its prefix in a leak scanner."""
    return "sk-herd-" + secrets.token_urlsafe(32)


def parse_keys(text: str) -> Keys:
    """The keys in the text of a config.json; ValueError names everything wrong with it."""
    values, config = _read(text)
    origins, media = config.get("allowOrigins", []), config.get("allowImageUrls", [])
    return _keys(values, origins, media, config.get("contexts", {}), config.get("slots", []))


def parse_grants(text: str) -> list[Key]:
    """The keys in the text of a file of grants, which may have none; ValueError as above."""
    values, _ = _read(text)
    keys, faults = read_entries(values) if values else ([], [])
    if faults:
        raise ValueError("; ".join(faults))
    return keys


def parse_urls(text: str) -> dict[str, str]:
    """`urls` in the text of a file of grants, by the names of keys; ValueError as above."""
    _, config = _read(text)
    urls = config.get("urls", {})
    if not isinstance(urls, dict) or not all(
        isinstance(url, str) and _URL.fullmatch(url) for url in urls.values()
    ):
        raise ValueError('"urls" must be as {"gateway-gw2": "https://gw2.example.com:3100"}')
    return urls


_URL = re.compile(r"https?://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")


def _read(text: str) -> tuple[list[object], dict[str, object]]:
    """The list `apiKeys`, and all of the object around it."""
    try:
        config = json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise ValueError(f"it is not valid JSON: {error.msg} at {where}") from None
    except _Twice as error:
        raise ValueError(f"it has {error} twice in one object") from None
    except (RecursionError, ValueError):
        raise ValueError("it is not valid JSON for us: too deep, or a number too long") from None
    if not isinstance(config, dict):
        raise ValueError('it must be an object: {"apiKeys": ["..."]}')
    if "apiKeys" not in config:
        raise ValueError('it has no "apiKeys"')
    values = config["apiKeys"]
    if not isinstance(values, list):
        raise ValueError('"apiKeys" must be a list of strings and objects')
    return values, config


class _Twice(Exception):
    """A name that stands twice: which of them counts would differ from reader to reader."""


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            # Only our own names are shown: any other may be a key put in the wrong place.
            raise _Twice(f'"{name}"' if name in _NAMES else "a name")
        found[name] = value
    return found


_NAMES = {"apiKeys", "allowOrigins", "allowImageUrls", "contexts", "slots", "names", *FIELDS}


def parse_key_list(text: str) -> Keys:
    """The keys in a comma-separated list, as in API_KEYS=a,b."""
    return _keys([part.strip() for part in text.split(",") if part.strip()], [], [], {}, [])


def _keys(
    values: Sequence[object], origins: object, media: object, contexts: object, slots: object
) -> Keys:
    keys, faults = read_entries(values)
    table, faults_of_slots = read_slots(slots)
    faults += faults_of_slots
    faults += faults_of_origins(origins) + faults_of_prefixes(media) + faults_of_contexts(contexts)
    if faults or not (
        isinstance(origins, list) and isinstance(media, list) and isinstance(contexts, dict)
    ):
        raise ValueError("; ".join(faults))
    return Keys(keys, origins, media, contexts, table)


def read_entries(values: Sequence[object]) -> tuple[list[Key], list[str]]:
    """The keys of a list as in `apiKeys`, and everything wrong with it."""
    faults = [] if values else ["there is no key; make one with `python -m proxy keys new NAME`"]
    first_seen: dict[bytes, str] = {}
    keys: list[Key] = []
    for number, value in enumerate(values, start=1):
        entry = read_entry(number, value)
        faults += entry.faults
        if entry.key is None:
            continue
        first = first_seen.setdefault(entry.key.digest, entry.title)
        if first != entry.title:
            faults.append(f"{entry.title} is the same as {first}; remove one of them")
        else:
            keys.append(entry.key)
            faults += _overlap(entry.title, keys)
    return keys, faults


def _overlap(title: str, keys: list[Key]) -> list[str]:
    """A name has one key, or an old one that ends and its successor."""
    of_name = [key for key in keys if key.name == keys[-1].name]
    if len(of_name) == 1:
        return []
    if len(of_name) > 2:
        return [f"{title} is the third of its name; remove the oldest, or name it otherwise"]
    if all(key.expires is None for key in of_name):
        return [f'{title} is the second of its name; give the older one an "expires"']
    return []


def faults_of_contexts(contexts: object) -> list[str]:
    """What is wrong with `contexts`."""
    if isinstance(contexts, dict) and all(type(n) is int and n > 0 for n in contexts.values()):
        return []
    return ['"contexts" must be tokens by the name of a model, as {"gpt-oss-120b": 131072}']


def faults_of_origins(origins: object) -> list[str]:
    """What is wrong with `allowOrigins`."""
    if not isinstance(origins, list):
        return ['"allowOrigins" must be a list of web origins as "https://chat.example.com"']
    faults = [(number, fault_of(origin)) for number, origin in enumerate(origins, start=1)]
    return [f'number {number} of "allowOrigins" {fault}' for number, fault in faults if fault]
