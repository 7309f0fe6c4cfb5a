"""What was deployed to a Mac last, as it is noted there."""

from collections.abc import Iterable

from pyinfra.api import QuoteString, StringCommand

from herd.core.mac import deploy_record
from herd.core.mac.deploy_record import Deployed
from herd.facts.fact import Fact


class LastDeploy(Fact[Deployed | None]):
    """None where nothing is noted, as by a deploy of an older version."""

    def command(self, path: str) -> StringCommand:
        return StringCommand("! [ -f", QuoteString(path), "] || cat", QuoteString(path))

    def process(self, output: Iterable[str]) -> Deployed | None:
        return deploy_record.parse("\n".join(output))
