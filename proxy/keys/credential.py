"""The key that a request shows, wherever its client put it. Pure; nothing said of it quotes it.

A key named twice is one key: clients set a second header beside their own, and libraries join two
of one name with a comma. Two different ones are refused although one of them may be right: which
of them counts would differ from program to program.
"""

import re
from dataclasses import dataclass

from multidict import MultiMapping

AUTHORIZATION = "Authorization"
HEADERS = (AUTHORIZATION, "x-api-key", "api-key")
"""Of OpenAI's clients, of Anthropic's, and of those that also know Azure and send this beside."""

WAYS = "'Authorization: Bearer <key>' or 'x-api-key: <key>'"


@dataclass(frozen=True, slots=True)
class NoKey:
    """Why a request shows no key, or not one."""

    why: str


def is_shown(headers: MultiMapping[str]) -> bool:
    """Whether a header is there that could name a key."""
    return any(name in headers for name in HEADERS)


def credential(headers: MultiMapping[str]) -> str | NoKey:
    """The one key of a request."""
    found: dict[str, list[str]] = {}  # keys, and the headers that named them
    empty, unread = [], []
    for name in HEADERS:
        for value in headers.getall(name, ()):
            if not (value := value.strip()):
                empty.append(name)
            elif (secrets := _secrets(name, value)) is None:
                unread.append(name)
            elif not secrets:
                empty.append(name)
            else:
                for secret in secrets:
                    found.setdefault(secret, []).append(name)
    if len(found) == 1 and not unread:
        return next(iter(found))
    if found:
        names = _names([name for names in found.values() for name in names] + unread)
        what = "Two different API keys" if len(found) > 1 else "An API key and another credential"
        return NoKey(f"{what} came, in {names}. Send one only.")
    if unread:
        basic = headers.get(AUTHORIZATION, "").strip().lower().startswith("basic ")
        how = "as 'Basic', which is not read here" if basic else "without 'Bearer' before the key"
        return NoKey(f"The header Authorization came {how}. Send {WAYS}.")
    if empty:
        return NoKey(f"There is no API key in {_names(empty)}. Send {WAYS}.")
    return NoKey(f"No API key came. Send {WAYS}.")


def _secrets(name: str, value: str) -> list[str] | None:
    """The keys that one header line names; None if it is of another scheme."""
    if name == AUTHORIZATION:
        scheme, _, value = value.partition(" ")
        if scheme.lower() != "bearer":
            return None
        value = value.strip()
    if "," not in value:
        return [value] if value else []
    parts = [_AGAIN.sub("", part.strip()) for part in value.split(",")]
    if len(set(parts)) == 1:
        return parts[:1] if parts[0] else []
    # A key may have commas, but never whitespace: with it, this is a list of keys.
    return parts if _SPACE.search(value) else [value]


_AGAIN = re.compile("^bearer +", re.IGNORECASE)
_SPACE = re.compile(r"\s")


def _names(names: list[str]) -> str:
    """The headers, each once."""
    return " and ".join(dict.fromkeys(names))


def advice(secret: str) -> str:
    """What looks wrong with a key that is not known; empty if nothing does."""
    if secret[0] in _QUOTES or secret[-1] in _QUOTES:
        return " It came with quotation marks: send it without."
    if secret.lower().startswith("bearer "):
        return " It came with the word 'Bearer' in it: leave that out."
    if _SPACE.search(secret):
        return " It came with a space in it."
    if _UNFILLED.fullmatch(secret):
        return " It came as a variable that has no value, or was not filled in."
    return ""


_QUOTES = "\"'`\u201c\u201d\u2018\u2019"
_UNFILLED = re.compile(
    r"\$\w+|\$?\{.*\}|%\w+%|<.*>|\$\(.*\)|undefined|null|none|nil|false", re.IGNORECASE
)
