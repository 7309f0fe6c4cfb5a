"""Keys granted by files beside config.json, which may come, change and go.

What such a key opens is said by which file it is in, whatever its entry says, and it is one thing:
model files, inference for the clients of a gateway, or what gateways tell each other of limits.
"""

import logging
import os
from dataclasses import replace
from pathlib import Path

from proxy.keys.key import Key, Limits, Scope
from proxy.keys.keys_file import parse_grants

Stamp = tuple[int, int, int, int] | None

_log = logging.getLogger("proxy.keys")


class Grants:
    """The keys in force of such a file, and the one scope that they have; inference is for a
    gateway, which speaks for clients that it knows."""

    def __init__(self, path: Path, scope: Scope = Scope.FILES) -> None:
        self.keys: tuple[Key, ...] = ()
        self._scope = scope
        self._name = str(path)
        self._stamp: Stamp = None
        self.look()

    def look(self) -> bool:
        """Reads the file if it has changed; whether it has. One that is broken grants nothing."""
        found = stamp(self._name)
        if found == self._stamp:
            return False
        self._stamp = found
        self.keys = tuple(self._read())
        return True

    def _read(self) -> list[Key]:
        try:
            keys = parse_grants(Path(self._name).read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            return []
        except UnicodeDecodeError as error:
            _log.error("%s grants nothing: not UTF-8 at byte %d", self._name, error.start)
        except OSError as error:
            _log.error("%s grants nothing: it cannot be read: %s", self._name, error.strerror)
        except ValueError as problem:
            _log.error("%s grants nothing: %s", self._name, problem)
        else:
            _log.info("%s grants %s to %d keys", self._name, self._scope, len(keys))
            only, gateway = frozenset({self._scope}), self._scope is Scope.INFERENCE
            return [
                replace(key, scopes=only, models=(), limits=Limits(), gateway=gateway)
                for key in keys
            ]
        return []


def stamp(path: str) -> Stamp:
    """What changes when a file is edited, replaced or restored; None if it is not there."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino
