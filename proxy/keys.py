"""What a key is, and what config.json may say about keys. Pure; no message ever quotes a key."""

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field


def new_key() -> str:
    """A fresh key: 256 random bits, recognisable by its prefix in a leak scanner."""
    return "sk-herd-" + secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class Key:
    """One key, of which only the digest is kept; `label` is how logs call it."""

    label: str
    digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Keys:
    """All keys in force, never none."""

    entries: tuple[Key, ...]

    def find(self, secret: str) -> Key | None:
        """The entry for this secret; takes as long for a wrong secret as for a right one.

        Digests have one length and every entry is compared, so the time tells neither how much of
        a guess was right nor which entry it was.
        """
        digest = _digest(secret)
        found = None
        for key in self.entries:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found


def parse_keys(text: str) -> Keys:
    """The keys in the text of a config.json; ValueError names everything wrong with it."""
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise ValueError(f"it is not valid JSON: {error.msg} at {where}") from None
    except RecursionError:
        raise ValueError("it is not valid JSON for us: nested too deeply") from None
    if not isinstance(config, dict):
        raise ValueError('it must be an object: {"apiKeys": ["..."]}')
    if "apiKeys" not in config:
        raise ValueError('it has no "apiKeys"')
    values = config["apiKeys"]
    if not isinstance(values, list):
        raise ValueError('"apiKeys" must be a list of strings')
    return _keys(values)


def parse_key_list(text: str) -> Keys:
    """The keys in a comma-separated list, as in API_KEYS=a,b."""
    return _keys([part.strip() for part in text.split(",") if part.strip()])


def _keys(values: list[object]) -> Keys:
    problems = [] if values else ["there is no key"]
    first_seen: dict[str, int] = {}
    entries = []
    for number, value in enumerate(values, start=1):
        if not isinstance(value, str):
            problems.append(f"key {number} is not a string")
        elif fault := _fault(value):
            problems.append(f"key {number} {fault}")
        elif value in first_seen:
            problems.append(f"key {number} is the same as key {first_seen[value]}")
        else:
            first_seen[value] = number
            entries.append(Key(label=str(number), digest=_digest(value)))
    if problems:
        raise ValueError("; ".join(problems))
    return Keys(tuple(entries))


def _fault(value: str) -> str | None:
    """Why a client could not send this key in a header, if so."""
    if not value:
        return "is empty"
    if any(character.isspace() for character in value):
        return "has whitespace in it"
    if not value.isascii():
        return "has characters outside ASCII in it"
    if not value.isprintable():
        return "has control characters in it"
    return None


def _digest(secret: str) -> bytes:
    # surrogateescape: a header may hold any bytes, and this is how aiohttp decoded them
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
