"""The record of the last deploy that changed something, which stays on the Mac.

To write it is no change of the Mac that a plan would foresee or a summary name: it is done beside
the operation's own commands, of which there are none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from pyinfra import host, logger
from pyinfra.api import QuoteString, StringCommand

from herd.core.mac.archives import Bundle
from herd.core.mac.deploy_record import Deployed, digest
from herd.core.mac.layout import Layout
from herd.core.models.missing_files import Resolved
from herd.facts.deploy_record import LastDeploy
from herd.facts.gathered import Question
from herd.facts.programs import Linked
from herd.operations.commands import Commands, changed_so_far, operation
from herd.operations.summary import programs
from herd.workstation.who_deploys import WhoDeploys


def _noted_asks(
    layout: Layout, bundle: Bundle, *, models: Sequence[Resolved], who: WhoDeploys
) -> Iterator[Question]:
    yield Question(LastDeploy, path=layout.last_deploy)
    yield Question(Linked, links=layout.version_links(programs(layout)))


@operation(asks=_noted_asks)
def noted(
    layout: Layout, bundle: Bundle, *, models: Sequence[Resolved], who: WhoDeploys
) -> Commands:
    """
    Note what was deployed by whom, unless that is noted and this run changed nothing.

    + layout: where the stack lives, and its settings
    + bundle: the proxy's code
    + models: what their repositories hold
    + who: who deploys, of which revisions
    """
    linked = host.get_fact(Linked, links=layout.version_links(programs(layout)))
    want = Deployed(
        settings=digest(layout.settings, models),
        versions={**linked, "proxy": bundle.release},
        toolkit=who.toolkit,
        herd=who.herd,
        by=who.by,
    )
    there = host.get_fact(LastDeploy, path=layout.last_deploy)
    if host.state.is_executing and (any(changed_so_far()) or not want.is_as(there)):
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if not _write(layout.last_deploy, replace(want, when=now).text):
            host.log(f"{layout.last_deploy} could not be written", logger.warning)
    host.noop("nothing to do")
    yield from ()


def _write(path: str, text: str) -> bool:
    new = QuoteString(f"{path}.new")
    command = StringCommand("umask 077 && cat >", new, "&& mv -f", new, QuoteString(path))
    done, _ = host.run_shell_command(command, _stdin=text.splitlines())
    return bool(done)
