"""What a key is and may do, and how the key of a request is found. Pure; nothing shows a key."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

from proxy.keys.origins import Origins
from proxy.keys.slots import SlotTable


class Scope(StrEnum):
    """What a key opens."""

    INFERENCE = "inference"
    ADMIN = "admin"
    METRICS = "metrics"
    FILES = "files"
    LIMITS = "limits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one name may ask for; None is no limit."""

    rpm: int | None = None
    tpm: int | None = None
    tpd: int | None = None
    parallel: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key, of which only the digest is kept; `name` is how logs, limits and usage call it."""

    name: str
    digest: bytes = field(repr=False)
    scopes: frozenset[Scope] = frozenset({Scope.INFERENCE})
    models: tuple[str, ...] = ()  # patterns; none is all
    limits: Limits = Limits()
    created: float | None = None  # seconds since 1970
    expires: float | None = None
    gateway: bool = False
    """Whether it is a gateway's, which speaks for clients that it knows and limits itself."""

    @property
    def label(self) -> str:
        """The name."""
        return self.name

    def expired(self, now: float) -> bool:
        """Whether its time is over."""
        return self.expires is not None and now >= self.expires

    def may_use(self, model: str | None) -> bool:
        """Whether a request for this model may pass; one that names none, if all may be used."""
        if not self.models:
            return True
        return model is not None and any(fnmatchcase(model, pattern) for pattern in self.models)


_NOBODY = Key(name="-", digest=secrets.token_bytes(32))


class Keys:
    """All keys of one configuration, never none, the web pages that may use them, beginnings of
    the URLs that media may be fetched from, and the contexts of models in tokens."""

    def __init__(
        self,
        entries: Iterable[Key],
        origins: Iterable[str] | Origins = (),
        media: Iterable[str] = (),
        contexts: Mapping[str, int] | None = None,
        slots: SlotTable | None = None,
    ) -> None:
        self.entries = tuple(entries)
        self.origins = origins if isinstance(origins, Origins) else Origins(origins)
        self.media = tuple(media)
        self.contexts = dict(contexts or {})
        self.slots = slots or SlotTable()
        self._by_digest = {key.digest: key for key in self.entries}
        # Of two entries with one name, an old key and its successor, the last one says the limits.
        self._limits = {
            key.name: None if key.limits == Limits() else key.limits for key in self.entries
        }

    def with_granted(self, entries: Iterable[Key]) -> "Keys":
        """The same with these keys before its own."""
        every = (*entries, *self.entries)
        return Keys(every, self.origins, self.media, self.contexts, self.slots)

    def context(self, model: str | None) -> int | None:
        """Tokens that a model can have before it; None if nobody said."""
        return self.contexts.get(model) if model is not None else None

    def find(self, secret: str) -> Key | None:
        """The entry for this secret.

        The time tells nothing about the keys: what is looked up is a digest of the guess, by a
        hash that Python salts anew in each process, and the comparison takes the same time
        whatever it compares.
        """
        digest = digest_of(secret)
        key = self._by_digest.get(digest, _NOBODY)
        return key if hmac.compare_digest(key.digest, digest) else None

    def has(self, key: Key) -> bool:
        """Whether this key is (still) among them."""
        return key.digest in self._by_digest

    def current(self, key: Key) -> Key | None:
        """The entry with the same secret."""
        return self._by_digest.get(key.digest)

    def limits(self, name: str) -> Limits | None:
        """The limits of a name; None if it has none."""
        return self._limits.get(name)

    def limited(self) -> dict[str, Limits]:
        """Those of all names that have any."""
        return {name: limits for name, limits in self._limits.items() if limits is not None}

    def names(self) -> frozenset[str]:
        """How the keys are called."""
        return frozenset(self._limits)

    def __repr__(self) -> str:
        return f"Keys({', '.join(sorted(self._limits))})"


def digest_of(secret: str) -> bytes:
    """The SHA-256 of a key, which is safe to publish if the key is random."""
    # surrogateescape: a header may hold any bytes, and this is how they were decoded
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
