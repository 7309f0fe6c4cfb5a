"""The gateways that a proxy believes, as a list of keys (docs/proxy.md): on a Mac `gateways.json`,
on a gateway `others.json`, which has their URLs, too."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from herd.core.gateway.fleet import Mac


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


def others(known: list[Known], gateways: Iterable[Mac]) -> str:
    """The whole file on a gateway: one whose key is not known yet is asked all the same."""
    keys = [{"name": name_of(each.gateway), "sha256": each.sha256} for each in known]
    urls = {name_of(each.name): each.url for each in gateways}
    return json.dumps({"apiKeys": keys, "urls": urls}, indent=2) + "\n"


def in_order(gateways: Sequence[str], told: Mapping[str, str], before: str) -> list[Known]:
    """Those whose key is known, given what some of them tell and a file of ours as it is: in the
    order of the inventory, as the file must not change with who tells, one after the other."""
    there = hashes(before)
    found = {name: told.get(name) or there.get(name_of(name)) for name in gateways}
    return [Known(name, sha256) for name, sha256 in found.items() if sha256]


def unheard(gateways: Iterable[Mac], heard: Mapping[str, bool]) -> list[str]:
    """Those of the other gateways that do not tell this one what they let in, given what its proxy
    says of each key's name."""
    return [each.name for each in gateways if not heard.get(name_of(each.name))]


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
