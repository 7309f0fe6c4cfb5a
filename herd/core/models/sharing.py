"""Which Macs of a run give each other verified model files, and how they reach each other."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from secrets import token_urlsafe

from herd.core.models.fetch_request import Peers
from herd.core.models.missing_files import Resolved, repositories
from herd.core.settings.schema import Settings


@dataclass(frozen=True)
class Sharing:
    """Of each host, by name: settings, models, and its proxy's URL for the others of its site."""

    settings: Mapping[str, Settings]
    models: Mapping[str, Sequence[Resolved]]
    urls: Mapping[str, str]
    key: str = field(default_factory=lambda: token_urlsafe(32), repr=False)
    """Opens verified files on the Macs of this run, for a day."""

    def site(self, name: str, present: Iterable[str]) -> dict[str, Sequence[Resolved]]:
        """Of the hosts that are present, those that share models with this one, and it too.

        Empty if there is no other, or it takes no part.
        """
        mine = self.settings[name]
        sharing = {
            other: self.models[other]
            for other in sorted({*present, name} & self.settings.keys())
            if self.settings[other].site == mine.site and self.settings[other].models_share
        }
        return sharing if name in sharing and len(sharing) > 1 else {}

    def peers(self, name: str, present: Iterable[str]) -> Peers | None:
        """Where this host may get files that it lacks, other than from the Hub."""
        site = self.site(name, present)
        mine = _files(self.models[name])
        others = {
            other: self.urls[other]
            for other, models in site.items()
            if other != name and mine & _files(models)
        }
        return Peers(name, others, self.key) if others else None


def _files(models: Iterable[Resolved]) -> set[str]:
    return {file.sha256 for each in repositories(models) for file in each.files}
