"""`make usage`: the books of each host's proxy."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pyinfra.api import QuoteString, StringCommand

from herd.connections.remote import Remote, each
from herd.core.mac.archives import bundle
from herd.facts.proxy import Releases
from herd.verbs.machine_readable import document


def usage(
    remotes: Sequence[Remote],
    options: Sequence[str],
    *,
    lost: Mapping[str, str],
    json_wanted: bool,
) -> bool:
    """What each key used, from the books of each host's proxy; a gateway has those of the herd,
    too, of which the Macs' own know the gateway's key only."""
    books: dict[str, Any] = {}

    def look(remote: Remote) -> bool:
        own = remote.settings.serves
        done = not own or read(remote, remote.layout.usage, remote.host.name)
        if not remote.gateway:
            return done
        if not json_wanted:
            remote.say(True, ["the herd, through this gateway:"])
        herd = remote.layout.of_gateway("usage.db")
        return read(remote, herd, f"{remote.host.name} (gateway)") and done

    def read(remote: Remote, path: str, whose: str) -> bool:
        command = _usage_command(remote, path, [*options, *(["--json"] if json_wanted else [])])
        if command is None:
            return remote.say(False, ["there is no proxy: deploy first"])
        if not json_wanted:
            return remote.follow(command)
        ok, lines = remote.run(command)
        try:
            books.update({whose: json.loads("\n".join(lines))} if ok else {})
        except (ValueError, RecursionError):
            ok, lines = False, ["its books cannot be read"]
        return ok or remote.say(False, lines)

    done = each(remotes, look)
    if json_wanted:
        print(document("usage", books, lost))
    return done


def _usage_command(remote: Remote, path: str, options: Sequence[str]) -> StringCommand | None:
    """By the release that is there, which need not be ours."""
    layout, ours = remote.layout, bundle()
    whole = sorted(remote.ask(Releases, directory=layout.proxy).whole)
    found = []
    for wanted, kind in (
        (layout.proxy_release(ours), "release-"),
        (layout.proxy_environment(ours), "env-"),
    ):
        there = [path for path in whole if path.rpartition("/")[2].startswith(kind)]
        if not there:
            return None
        found.append(wanted if wanted in there else there[-1])
    release, environment = found
    return StringCommand(
        *("PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 env", QuoteString(f"PYTHONPATH={release}")),
        *(QuoteString(f"{environment}/bin/python"), "-m proxy usage"),
        *("--db", QuoteString(path), *map(QuoteString, options)),
    )
