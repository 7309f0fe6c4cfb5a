"""The models that a key may use, as OpenAI's clients read them or as Anthropic's do. Pure.

llama-swap lists models, and with each the aliases it answers to; here an alias is an entry of its
own, so that a client can choose it. Each name counts by itself, as in requests: a key may see an
alias and not what it stands for.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs

from proxy.keys.key import Key

Entry = dict[str, Any]

USUAL, MOST = 20, 1000
"""How many a page of Anthropic's has."""


class BadPage(ValueError):
    """What is wrong with a question for a page."""


def read(body: bytes) -> list[Entry]:
    """llama-swap's list with its aliases, by name; ValueError, KeyError or TypeError if it is
    none."""
    listed: list[Entry] = json.loads(body)["data"]
    found = {str(entry["id"]): entry for entry in listed}
    for entry in listed:
        about = _about(entry)
        for alias in about.get("aliases", ()):
            told = {**about, "type": "alias", "modelID": entry["id"]}
            del told["aliases"]
            meta = {**entry["meta"], "llamaswap": told}
            found.setdefault(alias, {**entry, "id": alias, "meta": meta})
    return [found[id_] for id_ in sorted(found)]


def of_key(entries: Iterable[Entry], key: Key | None) -> list[Entry]:
    """What this key may use, and no word of what it may not."""
    if key is None:
        return []
    if not key.models:
        return list(entries)
    return [_told(entry, key) for entry in entries if key.may_use(entry["id"])]


def _about(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What llama-swap says of a model beyond OpenAI's fields."""
    meta = entry.get("meta")
    about = meta.get("llamaswap") if isinstance(meta, dict) else None
    return about if isinstance(about, dict) else {}


def _told(entry: Entry, key: Key) -> Entry:
    about = _about(entry)
    told = dict(about)
    if not key.may_use(told.get("modelID", entry["id"])):
        del told["modelID"]
    for names in ("aliases", "targets"):
        if names in told:
            told[names] = [name for name in told[names] if key.may_use(name)]
    told.pop("spillover", None)
    if told == about:
        return entry
    return {**entry, "meta": {**entry["meta"], "llamaswap": told}}


def one(entries: Iterable[Entry], name: str | None, *, to_anthropic: bool) -> Entry:
    """The entry of this name; KeyError if there is none."""
    entry = {entry["id"]: entry for entry in entries}[name or ""]
    return anthropic_entry(entry) if to_anthropic else entry


def openai(entries: list[Entry]) -> dict[str, Any]:
    """All of them."""
    return {"object": "list", "data": entries}


def anthropic(entries: list[Entry], query: str) -> dict[str, Any]:
    """A page of them, as https://docs.anthropic.com/en/api/models-list has it.

    A cursor is a name, whether or not it is still in the list: the page is what comes behind it,
    or before it, in the order of names.
    """
    asked = parse_qs(query)
    limit = _limit(asked.get("limit", [str(USUAL)])[-1])
    after, before = (asked.get(name, [""])[-1] for name in ("after_id", "before_id"))
    if after and before:
        raise BadPage("before_id and after_id exclude each other.")
    if before:
        rest = [entry for entry in entries if entry["id"] < before]
        page = rest[-limit:]
    else:
        rest = [entry for entry in entries if entry["id"] > after]
        page = rest[:limit]
    return {
        "data": [anthropic_entry(entry) for entry in page],
        "has_more": len(rest) > len(page),
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }


def _limit(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise BadPage("limit: Input should be a valid integer.")
    if int(text) < 1:
        raise BadPage("limit: Input should be greater than or equal to 1.")
    if int(text) > MOST:
        raise BadPage(f"limit: Input should be less than or equal to {MOST}.")
    return int(text)


_NUMBER = re.compile("-?[0-9]{1,9}")


def anthropic_entry(entry: Entry) -> dict[str, Any]:
    """One model. When it was made is not known, which is said by an epoch."""
    context = entry.get("context_length") or (entry.get("meta") or {}).get("n_ctx")
    return {
        "type": "model",
        "id": entry["id"],
        "display_name": entry.get("name") or entry["id"],
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": context if isinstance(context, int) else None,
    }
