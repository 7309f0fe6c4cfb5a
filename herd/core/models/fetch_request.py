"""What the fetcher on a Mac is told: which files it shall have, and where it may get them."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from herd.core.models.missing_files import FETCHED, File, Resolved
from herd.core.text.secret import SecretInput


@dataclass(frozen=True)
class Peers:
    """Other Macs of a site that may have what one lacks: their proxies' URLs by name.

    `key` opens the files there; `me` is the name of the one who asks, as the others know it.
    """

    me: str
    others: Mapping[str, str]
    key: str = field(repr=False)


@dataclass(frozen=True)
class Wanted:
    """Some files of one model."""

    model: Resolved
    files: tuple[File, ...]


def distinct(wanted: Iterable[Wanted]) -> list[Wanted]:
    """The same without files that are named twice, as by two models of one directory."""
    seen = set[str]()
    found = []
    for each in wanted:
        files = tuple(file for file in each.files if each.model.path(file) not in seen)
        seen |= {each.model.path(file) for file in files}
        if files:
            found.append(Wanted(each.model, files))
    return found


def job(
    wanted: Iterable[Wanted],
    *,
    directory: str,
    connections: int,
    token: str | None,
    client: str | None,
    peers: Peers | None = None,
    origin: str = FETCHED,
    again: bool = False,
    grace: float | None = None,
) -> SecretInput:
    """The fetcher's standard input (fetcher/spec.py): secrets must not be in a command line.

    `directory` is that of all models, `client` the Mac's `hf`; `again` hashes what has a receipt,
    too. `grace` are seconds in which a peer may begin a file whose turn it is; None is the
    fetcher's own.
    """
    urls = sorted(peers.others.items()) if peers else []
    others = [{"name": name, "url": url} for name, url in urls]
    said: dict[str, Any] = {
        "connections": connections,
        "again": again,
        "origin": origin,
        "token": token,
        "client": client,
        "peers": {"me": peers.me, "key": peers.key, "others": others} if peers else None,
        "models": [
            {
                "name": each.model.name,
                "directory": f"{directory}/{each.model.directory}",
                "files": [
                    {"path": f.path, "size": f.size, "sha256": f.sha256, "url": each.model.url(f)}
                    for f in each.files
                ],
            }
            for each in distinct(wanted)
        ],
    }
    if grace is not None:
        said["patience"] = {"grace": grace}
    return SecretInput(json.dumps(said))


LIFE = timedelta(days=1)
"""How long a key of a run counts."""

_GRANTS = 8


def grant(key: str, expires: datetime, now: datetime, earlier: str = "") -> str:
    """The proxy's second list of keys (docs/proxy.md), which opens verified files only.

    `earlier` is the list that is there, if any: of its keys, the last few that have not expired
    stay.
    """
    digest = hashlib.sha256(key.encode()).hexdigest()
    entry = {
        "name": f"peers-{digest[:8]}",
        "sha256": digest,
        "scopes": ["files"],
        "expires": _moment(expires),
    }
    kept = [e for e in _entries(earlier) if e["expires"] > _moment(now) and e["sha256"] != digest]
    return json.dumps({"apiKeys": [*kept[1 - _GRANTS :], entry]}, indent=2) + "\n"


def _entries(text: str) -> list[dict[str, Any]]:
    """Those that we wrote, word for word; a list that is broken, or of others, has none."""
    try:
        found = json.loads(text)["apiKeys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    return [e for e in found if _is_ours(e)] if isinstance(found, list) else []


def _is_ours(entry: Any) -> bool:
    if not isinstance(entry, dict) or {"name", "sha256", "scopes", "expires"} != set(entry):
        return False
    digest, expires = entry["sha256"], entry["expires"]
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        return False
    if not isinstance(expires, str) or not _MOMENT.fullmatch(expires):
        return False
    return bool(entry["name"] == f"peers-{digest[:8]}" and entry["scopes"] == ["files"])


_MOMENT = re.compile("[0-9]{4}(-[0-9]{2}){2}T([0-9]{2}:){2}[0-9]{2}Z")


def _moment(time: datetime) -> str:
    """In UTC; later ones are greater."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
