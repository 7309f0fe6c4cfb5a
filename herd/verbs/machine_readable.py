"""What `--json` prints: one form for every verb."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # it would bring pyinfra along, and gevent's patches
    from herd.connections.remote import Outcome, Remote

SCHEMA = 1
"""Another one when something that was there goes, or means something else."""


def document(verb: str, hosts: Mapping[str, Any], lost: Mapping[str, str]) -> str:
    """An object with the schema's version, what there is of each host, and why there is nothing of
    those that were not reached."""
    said = {"schema": SCHEMA, "verb": verb, "hosts": hosts, "unreached": lost}
    return json.dumps(said, indent=2, ensure_ascii=False, default=_plain)


def line(verb: str, hosts: Mapping[str, Any], lost: Mapping[str, str], **more: Any) -> str:
    """The same in one line, for a verb that has more than one to say."""
    said = {"schema": SCHEMA, "verb": verb, **more, "hosts": hosts, "unreached": lost}
    return json.dumps(said, ensure_ascii=False, default=_plain)


def outcomes(remotes: "Sequence[Remote]") -> dict[str, dict[str, Any]]:
    """What became of each host of a verb that does something there, in words as people get them."""
    return {remote.host.name: outcome(remote.outcome) for remote in remotes}


def outcome(of: "Outcome") -> dict[str, Any]:
    """`said` of what went well, `wrong` of what did not."""
    return {"outcome": DONE if of.well else FAILED, "said": of.said, "wrong": of.wrong}


DONE, FAILED = "done", "failed"
"""What became of a host."""


def _plain(value: Any) -> Any:
    """What JSON has no form of its own for."""
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return dict(value) if isinstance(value, Mapping) else str(value)
