"""One entry of config.json's `apiKeys`, read with all its faults. Pure; never quotes a key."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from typing import Any

from proxy.keys.key import Key, Limits, Scope, digest_of
from proxy.keys.weak import fault_of_hash, fault_of_key

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
NAME_RULE = "letters, digits, '.', '-' and '_', at most 32"
LIMITS = ("rpm", "tpm", "tpd", "parallel")
FIELDS = ("name", "sha256", "created", "expires", "models", "scopes", "gateway", *LIMITS)
_LARGEST = 2**53


@dataclass(frozen=True, slots=True)
class Entry:
    """What was read: how to speak of the entry, and the key or what is wrong."""

    title: str
    key: Key | None
    faults: tuple[str, ...] = ()


def read_entry(number: int, value: object) -> Entry:
    """A plain key, or an object with a hash."""
    if isinstance(value, str):
        return _plain(number, value)
    if isinstance(value, dict):
        return _Reader(number, value).entry()
    title = f"key {number}"
    return Entry(title, None, (f"{title} is neither a string nor an object",))


def instant(text: str, *, end_of_day: bool) -> float:
    """Seconds since 1970 of `2026-12-31` (all of that day, UTC) or `2026-12-31T18:00:00Z`."""
    if len(text) == 10:
        day = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
        return (day + timedelta(days=end_of_day)).timestamp()
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _plain(number: int, value: str) -> Entry:
    """A key in clear text may infer, without limits, and nothing else."""
    title = f"key {number}"
    if fault := fault_of_key(value):
        return Entry(title, None, (f"{title} {fault}",))
    return Entry(title, Key(name=f"#{number}", digest=digest_of(value)))


class _Reader:
    """Takes an entry apart, field by field."""

    def __init__(self, number: int, fields: Mapping[str, Any]) -> None:
        self._fields = fields
        self._faults: list[str] = []
        name = fields.get("name")
        self._named = isinstance(name, str) and NAME.fullmatch(name) is not None
        self._title = f"key {number} ({name})" if self._named else f"key {number}"

    def entry(self) -> Entry:
        if not self._named:
            self._fault(f'needs a "name": {NAME_RULE}')
        if fault := fault_of_hash(self._fields.get("sha256")):
            self._fault(fault)
        for unknown in sorted(set(self._fields) - set(FIELDS)):
            self._unknown(unknown)
        limits = Limits(**{name: self._count(name) for name in LIMITS})
        scopes, models = self._scopes(), self._models()
        gateway = self._gateway(limits, scopes)
        created, expires = self._time("created"), self._time("expires")
        if created is not None and expires is not None and expires <= created:
            self._fault('has an "expires" that is not after "created"')
        if self._faults:
            return Entry(self._title, None, tuple(self._faults))
        key = Key(
            name=self._fields["name"],
            digest=bytes.fromhex(self._fields["sha256"]),
            scopes=scopes,
            models=models,
            limits=limits,
            created=created,
            expires=expires,
            gateway=gateway,
        )
        return Entry(self._title, key)

    def _fault(self, text: str) -> None:
        self._faults.append(f"{self._title} {text}")

    def _unknown(self, name: str) -> None:
        # A field that is not read would be a limit that does not hold. It is not quoted unless it
        # is nearly one of ours: somebody may have put the key itself there.
        near = get_close_matches(name, FIELDS, n=1)
        known = ", ".join(FIELDS)
        self._fault(
            f'has "{name}": "{near[0]}"?' if near else f"has a field that is none of {known}"
        )

    def _count(self, name: str) -> int | None:
        value = self._fields.get(name)
        if value is None:
            return None
        if type(value) is not int or not 1 <= value <= _LARGEST:
            self._fault(f'has a "{name}" that is not a whole number from 1; leave it out for none')
            return None
        return value

    def _gateway(self, limits: Limits, scopes: frozenset[Scope]) -> bool:
        value = self._fields.get("gateway", False)
        if type(value) is not bool:
            self._fault('has a "gateway" that is neither true nor false')
        elif value and limits != Limits():
            self._fault("is a gateway's, which limits its clients itself; leave the limits out")
        elif value and not scopes <= {Scope.INFERENCE, Scope.METRICS}:
            self._fault("is a gateway's, which may have the scopes inference and metrics only")
        return value is True

    def _scopes(self) -> frozenset[Scope]:
        value = self._fields.get("scopes", [Scope.INFERENCE])
        return frozenset(self._list("scopes", value, Scope, f"some of {', '.join(Scope)}"))

    def _models(self) -> tuple[str, ...]:
        value = self._fields.get("models", ["*"])
        patterns = self._list("models", value, _pattern, 'names or patterns as "gpt-*"')
        return () if "*" in patterns else tuple(patterns)

    def _list(self, name: str, value: object, read: Callable[[Any], str], what: str) -> list[Any]:
        try:
            if isinstance(value, list) and value:
                return [read(item) for item in value]
        except ValueError:
            pass
        self._fault(f'has "{name}" that are not a list of {what}')
        return []

    def _time(self, name: str) -> float | None:
        value = self._fields.get(name)
        try:
            if value is None:
                return None
            if isinstance(value, str):
                return instant(value, end_of_day=name == "expires")
        except (ValueError, OverflowError):
            pass
        self._fault(f'has an unreadable "{name}"; write it as 2026-12-31 or 2026-12-31T18:00:00Z')
        return None


def _pattern(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError
    return value
