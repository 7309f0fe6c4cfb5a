"""What was deployed to a Mac last, as it is noted there: by whom, when, of which revision."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from herd.core.models.missing_files import Resolved
from herd.core.settings.schema import Settings

SCHEMA = 1
"""Of the file; a later one may have more."""


@dataclass(frozen=True)
class Deployed:
    """`settings` is a digest of what was declared, `versions` are those of llama.cpp, of llama-swap
    and of the proxy's release.

    `toolkit` and `herd` are revisions of git, of this project and of the inventory's repository:
    "" where there is none, with "+" where files differed from it. `when` is UTC
    ("2026-11-29T03:45:00Z"), `by` a user and their workstation.
    """

    settings: str
    versions: Mapping[str, str]
    toolkit: str = ""
    herd: str = ""
    when: str = ""
    by: str = ""
    schema: int = field(default=SCHEMA)

    @property
    def text(self) -> str:
        """As it is on the Mac."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    def is_as(self, other: "Deployed | None") -> bool:
        """Whether the same was deployed then, whoever did it and by whatever revision: one that
        changes nothing on a Mac is no reason to change something there."""
        return other is not None and (self.settings, dict(self.versions)) == (
            other.settings,
            dict(other.versions),
        )


def parse(text: str) -> Deployed | None:
    """The record in a file; None when there is none that we understand."""
    try:
        found: dict[str, Any] = json.loads(text)
        versions = {str(name): str(version) for name, version in found["versions"].items()}
        words = {name: str(found[name]) for name in ("settings", "toolkit", "herd", "when", "by")}
        return Deployed(versions=versions, schema=int(found["schema"]), **words)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def digest(settings: Settings, models: Iterable[Resolved]) -> str:
    """Names what was declared of a host: its settings, and the content of its models' files."""
    said = [settings.model_dump(mode="json"), {each.name: each.version for each in models}]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
