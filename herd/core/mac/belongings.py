"""What in a stack's directory the toolkit put there, by its names: all else is somebody's own."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# SQLite has files of its own beside a database (sqlite.org/tempfiles.html).
_FILES = (
    r"config\.yaml",
    r"config\.trial\.yaml",
    r"config\.json",
    r"llama-swap\.key",
    r"(peers|gateways)\.json",
    r"availability\.(json|sock)",
    r"usage\.db(-journal|-wal|-shm)?",
    r"fetcher\.pyz",
    r"start\.command",
    r"last-deploy\.json",
    r"saved-slots",
    r"(llama-swap|proxy|gateway|gateway-proxy)\.log(\.\d+)?",
    r"daemon-(llama-swap|proxy|gateway|gateway-proxy)\.(sh|started)",
)
_DIRECTORIES = (
    r"answered",
    r"daemon-tmp",
    r"gateway",
    r"fit",
    r"releases",
    r"last-good(\.(new|old))?",
    r"proxy/release-[0-9a-f]{16}(\.new)?",
    r"proxy/env-3\.\d+-[0-9a-f]{16}",
)
_OF_THE_PROXY = (
    r"proxy/release-[0-9a-f]{16}\.tar\.gz",
    r"proxy/requirements\.lock",
    r"proxy/tls-(key|certificate)\.pem",
)
# What is written is beside its place until it is whole.
_FILE = re.compile(f"({'|'.join(_FILES + _OF_THE_PROXY)})(\\.new)?")
_DIRECTORY = re.compile("|".join(_DIRECTORIES))
_KEPT_APART = ("models", "proxy", "installed-packages")
"""Directories of ours that may hold what is not, and what goes with the packages only."""


@dataclass(frozen=True)
class Found:
    """An entry of the stack's directory or of the proxy's in it: its path below the former, and
    whether it is a directory by no link."""

    path: str
    is_directory: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether a deploy, or what it started, put it there."""
        pattern = _DIRECTORY if self.is_directory else _FILE
        return pattern.fullmatch(self.path) is not None


def ours(found: Iterable[Found]) -> list[str]:
    """Paths of what may go."""
    return sorted(each.path for each in found if each.is_ours)


def is_saved_slot(found: Found) -> bool:
    """Of an entry of a directory for them, whether it is one that scripts/change/slots-save.sh
    has named."""
    return re.fullmatch(r"herd-.*\.slot", found.path) is not None


def others(found: Iterable[Found]) -> list[str]:
    """Paths of what somebody else put there, a directory's with a slash."""
    return sorted(_others(found))


def _others(found: Iterable[Found]) -> Iterator[str]:
    for each in found:
        if not each.is_ours and each.path not in _KEPT_APART:
            yield f"{each.path}/" if each.is_directory else each.path
