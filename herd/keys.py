"""The fleet's API keys on the workstation: config.json of this directory, else API_KEYS.

The same two inputs that the proxy reads on a Mac, by the same rules; config.json wins.
"""

import json
import os
import re
import secrets
from pathlib import Path

from proxy.keys import parse_key_list, parse_keys

CONFIG = Path("config.json")


def read() -> list[str]:
    """The keys in clear text. Raises ValueError with what is wrong and how to mend it."""
    try:
        if CONFIG.exists():
            text = CONFIG.read_text()
            parse_keys(text)
            return list(json.loads(text)["apiKeys"])
        if listed := os.environ.get("API_KEYS", "").strip():
            parse_key_list(listed)
            return [part.strip() for part in listed.split(",") if part.strip()]
    except (ValueError, OSError) as error:
        origin = CONFIG if CONFIG.exists() else "API_KEYS"
        raise ValueError(f"{origin}: {error}") from None
    raise ValueError("There is no API key, neither in config.json nor in API_KEYS")


def how_to_mend() -> str:
    """What to do when `read` raises."""
    if CONFIG.exists():
        return "mend config.json, or remove it; config.example.json shows its form."
    return "run `make key NAME=me`, or set API_KEYS."


def document(keys: list[str]) -> str:
    """The config.json of a Mac."""
    return json.dumps({"apiKeys": keys}, indent=2) + "\n"


def add(name: str) -> str:
    """Make a fresh key, named in itself, and add it to config.json (0600). Returns the key."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", name):
        raise ValueError(f"{name!r} is no name for a key: use letters, digits, - and _, at most 32")
    keys = read() if CONFIG.exists() else []
    if any(key.startswith(f"sk-{name}-") for key in keys):
        raise ValueError(f"config.json has a key named {name} already; remove that line first")
    key = f"sk-{name}-{secrets.token_urlsafe(32)}"
    new = CONFIG.with_suffix(".json.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(document([*keys, key]))
    new.rename(CONFIG)
    return key
