"""An exact release of a program, as its makers published it, in place of Homebrew's."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from herd.core.settings.field_types import Strict, Text


def _archive(value: str) -> str:
    try:
        parts = urlsplit(value)
        port_is_right = parts.port is None or parts.port > 0
    except ValueError:
        port_is_right = False
    if not (
        re.fullmatch(r"https?://[!-~]+", value)
        and port_is_right
        and parts.hostname
        and "@" not in parts.netloc
    ):
        raise ValueError("is no address of a file, as https://github.com/…/….tar.gz")
    if not parts.path.endswith((".tar.gz", ".tgz")) or parts.query or parts.fragment:
        raise ValueError("is not that of a .tar.gz; the releases for macos-arm64 are")
    return value


def _tag(value: str) -> str:
    # It names a directory, and stands in a line of words.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}", value):
        raise ValueError("is no version, as b10686 or v250")
    return value


class Release(Strict):
    """Which archive: `sha256` is of its bytes, and told by whoever pins it."""

    version: Annotated[
        Text, AfterValidator(_tag), Field(description="as it is called there: `b10686`, `v250`")
    ]
    url: Annotated[
        Text, AfterValidator(_archive), Field(description="of its .tar.gz for macOS on arm64")
    ]
    sha256: Annotated[
        Text, Field(pattern=r"^[0-9a-f]{64}$", description="64 digits, as `shasum -a 256` has them")
    ]

    @property
    def directory(self) -> str:
        """The name of its directory: another archive has another one, whatever its version."""
        return f"{self.version}-{self.sha256[:12]}"


def version_of(directory: str) -> str:
    """The version in such a name; anything else is one already, as Homebrew's "0.9.0"."""
    return re.sub(r"-[0-9a-f]{12}$", "", directory)
