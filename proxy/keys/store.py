"""The keys in force: from config.json, else from API_KEYS; read again when the file changes."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from proxy.keys.grants import Grants, stamp
from proxy.keys.key import Key, Keys, Scope
from proxy.keys.keys_file import parse_key_list, parse_keys

_log = logging.getLogger("proxy.keys")


class KeyStore:
    """Holds the keys, and asks the file system whether they are still current.

    A stat takes about two microseconds; a changed file therefore counts from the next request on.
    `on_change` is told the new keys, so that what runs with a revoked one can be ended.
    """

    def __init__(
        self, config: Path, env: str = "", grants: Path | None = None,
        gateways: Path | None = None, other_gateways: Path | None = None,
    ) -> None:  # fmt: skip
        """Reads the keys; ValueError says in one line why there are none to work with."""
        self.on_change: Callable[[Keys], None] = lambda _: None
        self._config = config
        self._name = str(config)  # a Path is made to a string anew for each look
        self._env = env
        self._stamp = stamp(self._name)
        self._own, self._origin = self._read()
        files = {Scope.FILES: grants, Scope.INFERENCE: gateways, Scope.LIMITS: other_gateways}
        self._grants = [Grants(path, scope) for scope, path in files.items() if path is not None]
        self._keys = self._all()
        self._remind()

    def current(self) -> Keys:
        """The keys in force now."""
        if stamp(self._name) != self._stamp:
            self.reload()
        if [grants for grants in self._grants if grants.look()]:
            self._changed()
        return self._keys

    def reload(self) -> None:
        """Reads the keys again; what cannot be used leaves the old keys in force."""
        self._stamp = stamp(self._name)  # before reading: a later change is then still noticed
        try:
            if self._stamp is None and self._origin != "API_KEYS":
                raise ValueError(f"{self._config} is gone")
            self._own, self._origin = self._read()
        except ValueError as problem:
            _log.error("the old keys stay in force (%s): %s", self, problem)
        else:
            _log.info("keys read again: %s", self)
            self._remind()
            self._changed()

    def __str__(self) -> str:
        count = len(self._own.entries)
        return f"{count} key{'s' if count != 1 else ''} from {self._origin}"

    def _changed(self) -> None:
        self._keys = self._all()
        self.on_change(self._keys)

    def _all(self) -> Keys:
        """With those that are granted. Of two for one secret or one name the last one counts: our
        own, of which a grant can change nothing."""
        if not self._grants:
            return self._own
        return self._own.with_granted(key for grants in self._grants for key in grants.keys)

    def _remind(self) -> None:
        if over := [_title(key) for key in self._own.entries if key.expired(time.time())]:
            _log.warning("expired, and to be removed: %s", ", ".join(over))

    def _read(self) -> tuple[Keys, str]:
        try:
            # utf-8-sig: editors on other systems put a byte order mark first
            text = self._config.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            return self._read_env()
        except UnicodeDecodeError as error:
            raise ValueError(f"{self._config}: not UTF-8 at byte {error.start}") from None
        except OSError as error:
            raise ValueError(f"{self._config} cannot be read: {error.strerror}") from None
        try:
            return parse_keys(text), str(self._config)
        except ValueError as problem:
            raise ValueError(f"{self._config}: {problem}") from None

    def _read_env(self) -> tuple[Keys, str]:
        if not self._env.strip():
            raise ValueError(f"no API key: {self._config} does not exist and API_KEYS is not set")
        try:
            return parse_key_list(self._env), "API_KEYS"
        except ValueError as problem:
            raise ValueError(f"API_KEYS: {problem}") from None


def _title(key: Key) -> str:
    made = time.strftime(" of %Y-%m-%d", time.gmtime(key.created)) if key.created else ""
    return f"{key.name}{made}"
