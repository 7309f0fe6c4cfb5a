"""The gateways that a Mac's proxy believes: `gateways.json`, a list of keys (docs/proxy.md)."""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Known:
    """A gateway by its name in the inventory, and the SHA-256 of its key."""

    gateway: str
    sha256: str

    @property
    def entry(self) -> dict[str, Any]:
        """As the proxy reads it."""
        return {"name": name_of(self.gateway), "sha256": self.sha256, "gateway": True}


def name_of(gateway: str) -> str:
    """What a Mac's log calls a gateway: a name of a key has 32 plain characters."""
    name = f"gateway-{gateway}"
    if re.fullmatch(r"[A-Za-z0-9._-]{1,32}", name):
        return name
    kept = re.sub(r"[^A-Za-z0-9._-]", "-", name)[:23]
    return f"{kept}-{hashlib.sha256(gateway.encode()).hexdigest()[:8]}"


def entries(known: list[Known]) -> str:
    """The whole file."""
    return json.dumps({"apiKeys": [each.entry for each in known]}, indent=2) + "\n"


def hashes(text: str) -> dict[str, str]:
    """By the name of its key, the hash of each gateway in a file of ours; none of what is none."""
    try:
        found = json.loads(text)["apiKeys"]
        return {
            entry["name"]: entry["sha256"]
            for entry in found
            if re.fullmatch("[0-9a-f]{64}", entry["sha256"]) and isinstance(entry["name"], str)
        }
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
