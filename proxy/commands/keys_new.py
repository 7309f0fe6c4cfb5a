"""`keys new NAME`, and a new key for `make key`: its options, and the entry that lets it in."""

import json
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from proxy.commands import NO_DAY
from proxy.keys.key import Scope, digest_of
from proxy.keys.keys_file import new_key
from proxy.keys.keys_file_entry import LIMITS, NAME, NAME_RULE, instant, read_entry


def add_keys_new(parser: ArgumentParser) -> None:
    """The options of `keys new`."""
    parser.add_argument("name", metavar="NAME", type=key_name, help="who it is for")
    parser.add_argument("--models", type=words, metavar="A,B*", help="only these models")
    parser.add_argument(
        "--scopes", type=words, metavar="S,S", help=f"of {', '.join(Scope)} (inference)"
    )
    parser.add_argument(
        "--gateway", action="store_true", default=None, help="of a gateway, for all its clients"
    )
    parser.add_argument("--expires", type=end, metavar="90d", help="in days, or a date")
    for name, what in zip(
        LIMITS,
        ("requests per minute", "tokens per minute", "tokens per day", "requests at once"),
        strict=True,
    ):
        parser.add_argument(f"--{name}", type=int, metavar="N", help=what)


def new_entry(args: Namespace, like: Mapping[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
    """A fresh key and its entry; what the options leave out is as in the entry `like`.

    ValueError names what is wrong with the options.
    """
    key = new_key()
    now = datetime.now(UTC)
    entry: dict[str, Any] = {
        "name": args.name,
        "sha256": digest_of(key).hex(),
        "created": now.date().isoformat(),
    }
    for option in ("expires", "models", "scopes", "gateway", *LIMITS):
        value = getattr(args, option)
        if value is None and like and option != "expires":
            value = like.get(option)
        if value is not None:
            entry[option] = value
    if faults := read_entry(1, entry).faults:
        raise ValueError("; ".join(faults))
    return key, entry


def keys_new(args: Namespace) -> int:
    """Prints a key, once, and the entry that lets it in."""
    try:
        key, entry = new_entry(args)
    except ValueError as problem:
        print(f"proxy: {problem}", file=sys.stderr)
        return 2
    print(f"A new key for {args.name}. It is shown only now, and stored nowhere:\n")
    print(f"  {key}\n")
    print('Its entry for "apiKeys", which holds no secret and may be committed:\n')
    print(f"  {json.dumps(entry)}")
    return 0


def key_name(text: str) -> str:
    """The name of a key."""
    if not NAME.fullmatch(text):
        raise ArgumentTypeError(f"not a name: {NAME_RULE}")
    return text


def words(text: str) -> list[str]:
    """A list with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def end(text: str) -> str:
    """The day in so many days, or a date."""
    try:
        if days := re.fullmatch(r"(\d{1,5})d", text):
            return (datetime.now(UTC) + timedelta(days=int(days[1]))).date().isoformat()
        instant(text[:10], end_of_day=False)
        return text
    except (ValueError, OverflowError):
        raise ArgumentTypeError(NO_DAY.format(text)) from None
