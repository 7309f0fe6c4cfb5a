"""`make key`: a fresh key, shown once, and its entry where the next deploy finds it."""

import json
import os
import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from herd.workstation import api_keys
from herd.workstation.typed_commands import command
from proxy.commands.keys_new import add_keys_new, new_entry
from proxy.keys.keys_file import read_entries
from proxy.keys.keys_file_entry import instant

Entry = dict[str, Any]

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def add_options(parser: ArgumentParser) -> None:
    """Those of `python -m proxy keys new`, and a rotation."""
    add_keys_new(parser)
    parser.add_argument(
        "--rotate",
        action="store_true",
        help="replace a key of this name: same models, scopes, limits and lifetime, where not "
        "given anew",
    )
    parser.add_argument(
        "--overlap",
        type=_overlap,
        default="24h",
        nargs="?",
        const="",  # so that -5h gets our words, too
        metavar="24h",
        help="how long the older key still works, as 30m, 24h or 7d; 0m ends every older key of "
        "this name at once (default: 24h)",
    )


def _overlap(text: str) -> timedelta:
    if not (found := re.fullmatch(r"(\d{1,5})([mhd])", text)):
        raise ArgumentTypeError("it is a time as 30m, 24h or 7d, or 0m for none")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def make(
    options: Namespace, declared: Mapping[str, Sequence[Any]], config: Path = api_keys.CONFIG
) -> str:
    """What to tell a person of a new key.

    `declared` has each list of `api_keys` by the place where it stands; when there is none, the
    entry goes to `config`. Raises ValueError with why there is no new key.
    """
    if declared:
        return _for_data(options, declared)
    return _for_config(options, config)


def _for_config(options: Namespace, config: Path) -> str:
    first = not config.exists()
    document: Entry = {"apiKeys": []} if first else api_keys.read_config(config)
    kept, old, ended = _rotated(options, document["apiKeys"], str(config))
    key, entry = _new_entry(options, old)
    _write(config, {**document, "apiKeys": _checked([*kept, entry])})
    lines = _head(options.name, key)
    lines += [
        f"Its entry is in {config.parent}/{config.name}, which the next deploy ships.",
        "It holds no secret; to have it in git, move it to `api_keys` of group_data/all.py:",
        "",
        f"  {_literal(entry)}",
    ]
    if first and os.environ.get("API_KEYS", "").strip():
        lines += ["", "API_KEYS is set, too, but config.json wins: its keys are not shipped now."]
    return "\n".join([*lines, *_lifetime(options, entry), *_tail(options.name, old, ended, "")])


def _for_data(options: Namespace, declared: Mapping[str, Sequence[Any]]) -> str:
    found = {
        place: _rotated(options, values, place)[1:] if _of_name(options, values) else (None, None)
        for place, values in declared.items()
    }
    olds = [(old, ended) for old, ended in found.values() if old]
    if options.rotate and not olds:
        raise ValueError(_nothing_to_rotate(options.name, ", ".join(declared)))
    old, ended = olds[0] if olds else (None, None)
    key, entry = _new_entry(options, old)
    lines = _head(options.name, key)
    for place, (theirs, until) in found.items():
        if theirs:
            which = "the entry" if until else "every entry"
            lines += [f"In `api_keys` of {place}, in place of {which} of {options.name}:", ""]
            lines += [f"  {_literal(until)}"] if until else []
        else:
            lines += [f"To `api_keys` of {place} add its entry, which holds no secret:", ""]
        lines += [f"  {_literal(entry)}", ""]
    lines = [*lines[:-1], *_lifetime(options, entry)]
    return "\n".join([*lines, *_tail(options.name, old, ended, "paste, then ")])


def _of_name(options: Namespace, values: Sequence[Any]) -> list[Entry]:
    return [v for v in values if isinstance(v, dict) and v.get("name") == options.name]


def _rotated(
    options: Namespace, values: Sequence[Any], place: str
) -> tuple[list[Any], Entry | None, Entry | None]:
    """What stays of a list beside the new entry, and the older entry of its name, as it is and
    as it ends, if it does not at once."""
    _checked(values)
    now = datetime.now(UTC).replace(microsecond=0)
    over = [e for e in _of_name(options, values) if _end(e) <= now.timestamp()]
    live = [e for e in _of_name(options, values) if e not in over]
    if live and not options.rotate:
        words = "`--rotate` replaces it, any other name adds one"
        raise ValueError(f"{place} has a key of {options.name} already; {words}")
    if options.rotate and not live:
        raise ValueError(_nothing_to_rotate(options.name, place))
    kept = [value for value in values if value not in over]
    if not live:
        return kept, None, None
    *others, old = sorted(live, key=_end)
    if not options.overlap:
        return [value for value in kept if value not in live], old, None
    if others:
        words = "`--rotate --overlap 0m` replaces both at once; or remove the one that ends first"
        raise ValueError(f"{place} has two keys of {options.name}, as of a rotation; {words}")
    end = now + options.overlap
    ended = old if _end(old) <= end.timestamp() else {**old, "expires": f"{end:%Y-%m-%dT%H:%M:%SZ}"}
    return [ended if value is old else value for value in kept], old, ended


def _new_entry(options: Namespace, old: Entry | None) -> tuple[str, Entry]:
    """A key and its entry, with the rights of the older one and as long a life as it was given."""
    if old and old.get("expires") and options.expires is None:
        options = Namespace(**{**vars(options), "expires": _end_of_successor(old)})
    return new_entry(options, old)


def _end_of_successor(old: Entry) -> str:
    created, expires = old.get("created"), old["expires"]
    if not created:
        words = (
            'has "expires" but no "created", so its lifetime is unknown; give one: --expires 90d'
        )
        raise ValueError(f"the key of {old['name']} {words}")
    in_days = len(expires) == 10
    begin = instant(created[:10] if in_days else created, end_of_day=False)
    life = timedelta(seconds=instant(expires, end_of_day=False) - begin)
    return f"{datetime.now(UTC) + life:{'%Y-%m-%d' if in_days else '%Y-%m-%dT%H:%M:%SZ'}}"


def _lifetime(options: Namespace, entry: Entry) -> list[str]:
    """Of a lifetime that nobody typed."""
    if "expires" not in entry or options.expires:
        return []
    words = f"It works until {entry['expires']}: for as long as the older key of {options.name} was"
    return ["", f"{words} to;", "`--expires` says otherwise."]


def _end(entry: Entry) -> float:
    return instant(entry["expires"], end_of_day=True) if entry.get("expires") else float("inf")


def _nothing_to_rotate(name: str, place: str) -> str:
    return f"{place} has no key of {name} to rotate; without --rotate there will be one"


def _checked(values: Sequence[Any]) -> list[Any]:
    if values and (faults := read_entries(values)[1]):
        raise ValueError("; ".join(faults))
    return list(values)


def _head(name: str, key: str) -> list[str]:
    return [f"A new key for {name}. It is shown only now, and stored nowhere:", "", f"  {key}", ""]


def _tail(name: str, old: Entry | None, ended: Entry | None, then: str) -> list[str]:
    end = f"works until {ended['expires']}" if ended else "ends with the next deploy"
    deploy, chat, status = map(command, ("deploy", "chat", "status"))
    return [
        "",
        *([f"The older key of {name} {end}."] if old else []),
        f"Next: {then}`{deploy}`. So that it and `{chat}` can try the endpoint, give this",
        "shell the key, to be pasted in the dark and kept out of its history:",
        "",
        f"  read -rs {api_keys.HELD}; export {api_keys.HELD}",
        "",
        f"The base URL for OpenAI's clients is the one that a deploy and `{status}` show, with",
        "/v1 at its end; for Anthropic's it is the same without /v1, which they add themselves.",
    ]


def _literal(entry: Entry) -> str:
    """A line of a list, in JSON and in Python."""
    return json.dumps(entry, ensure_ascii=False) + ","


def _write(config: Path, document: Entry) -> None:
    """config.json, for its owner only, and whole or not at all."""
    new = config.with_suffix(".json.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(json.dumps(document, indent=2) + "\n")
    new.rename(config)
