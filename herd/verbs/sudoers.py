"""`make sudoers`: the rule by which a deploy may do as root what only root may."""

from collections.abc import Sequence

from herd.connections.remote import Remote, each
from herd.core.mac import sudo_rules
from herd.core.mac.domains import DAEMONS
from herd.facts.launchd import Installed
from herd.operations import launchd


def sudoers(remotes: Sequence[Remote]) -> bool:
    """Print the file of each host, with how to put it in place."""
    return each(remotes, _sudoers)


def _sudoers(remote: Remote) -> bool:
    name, mac = remote.host.name, remote.mac
    question = launchd.installed(remote.layout)
    daemons = any(kind == DAEMONS.kind for kind, _ in remote.ask(Installed, **question.arguments))
    text = sudo_rules.drop_in(name, remote.layout, user=mac.user, uid=mac.uid, daemons=daemons)
    print(text or f"# Nothing that the settings of {name} ask for needs root.")
    return True
