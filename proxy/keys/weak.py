"""Which keys are refused because they could be guessed, or could not be sent. Pure."""

import hashlib
import re

# Plain keys of before live on, but one that a network could guess does not: 12 random letters are
# over 50 bits.
SHORTEST = 12
FEWEST_CHARACTERS = 6

# What stands in examples, and what people type to get going.
_PLACEHOLDER = re.compile(
    r"(sk-)?((your|my|an?|the|some|new)[-_ ]?)?((super|very)[-_ ]?)?((secret|api|auth|test)[-_ ]?)*"
    r"(key|token|secret|password|test|example|placeholder|dummy|none|todo|foo|bar)"
    r"([-_ ]?(here|goes[-_ ]?here|\d{1,4}))?"
    r"|(sk-)?(change|replace)[-_ ]?(me|this)(please|now|[-_ ]?\d{1,4})?"
    r"|(sk-)?(x+|\*+|\.+|\d{1,10})"
    r"|<.*>|\$\{.*\}",
    re.IGNORECASE,
)
_HASHES_OF_PLACEHOLDERS = frozenset(
    hashlib.sha256(text.encode()).hexdigest()
    for text in ("", "\n", "your-key-here", "your-key-here\n", "changeme", "secret", "password",
                 "test", "sk-test", "key", "token", "example", "your-api-key", "sk-1234")
)  # fmt: skip

FIX = "make one with `python -m proxy keys new NAME`"


def fault_of_key(value: str) -> str | None:
    """Why a key in clear text cannot be used, if so, without quoting it."""
    if not value:
        return "is empty"
    if any(character.isspace() for character in value):
        return "has whitespace in it"
    if not value.isascii():
        return "has characters outside ASCII in it"
    if not value.isprintable():
        return "has control characters in it"
    if _PLACEHOLDER.fullmatch(value):
        return f"is a placeholder; {FIX}"
    if len(value) < SHORTEST:
        return f"is shorter than {SHORTEST} characters; {FIX}"
    if len(set(value)) < FEWEST_CHARACTERS:
        return f"has fewer than {FEWEST_CHARACTERS} different characters; {FIX}"
    return None


def fault_of_hash(value: object) -> str | None:
    """Why this is not the SHA-256 of a good key, as far as a hash can tell."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", value):
        return f'has no "sha256" of 64 hex digits; {FIX}'
    if value.lower() in _HASHES_OF_PLACEHOLDERS or len(set(value.lower())) < 8:
        return f'has the "sha256" of a placeholder; {FIX}'
    return None
