"""The file of the other gateways: whose keys are let in (`keys.grants`), where each is asked."""

import logging
from pathlib import Path

from proxy.keys.grants import Stamp, stamp
from proxy.keys.keys_file import parse_urls

_log = logging.getLogger("proxy.gateways")


class Others:
    """Where they are asked, by the names of their keys; the file may come, change and go."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.urls: dict[str, str] = {}
        self._stamp: Stamp = None

    def look(self) -> None:
        """Reads the file if it has changed. Without one, or by a broken one, nobody is asked."""
        if (found := stamp(str(self.path))) == self._stamp:
            return
        self._stamp, self.urls = found, {}
        try:
            self.urls = parse_urls(self.path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            pass
        except OSError as error:
            _log.error("no other gateway is asked: %s: %s", self.path, error.strerror)
        except ValueError as problem:
            _log.error("no other gateway is asked: %s: %s", self.path, problem)
