"""`make logs`: the last lines of the services' logs, or all to come."""

from collections.abc import Callable, Sequence

import gevent  # type: ignore[import-untyped]
from pyinfra.api import QuoteString, StringCommand

from herd.connections.remote import Remote, each
from herd.core.mac.job_definitions import jobs_of
from herd.core.text.harmless import harmless
from herd.core.text.merged_logs import merged


def logs(remotes: Sequence[Remote], job: str | None, lines: int, follow: bool) -> bool:
    """The last lines of the logs; of several Macs in the order of time."""

    def names(remote: Remote) -> list[str]:
        return [name for name in jobs_of(remote.layout) if job in (None, name)]

    def show(remote: Remote) -> bool:
        files = [QuoteString(remote.layout.log(name)) for name in names(remote)]
        if not files:
            return remote.say(False, [f"it has no {job}: it is no gateway"])
        return remote.follow(
            StringCommand("tail", "-n", str(lines), "-F" if follow else "", *files)
        )

    if len(remotes) == 1 or not follow:
        return each(remotes, show) if len(remotes) == 1 else _together(remotes, names, lines)
    running = [gevent.spawn(each, [remote], show) for remote in remotes]
    gevent.joinall(running)
    return all(one.value for one in running)


def _together(
    remotes: Sequence[Remote], names: Callable[[Remote], Sequence[str]], lines: int
) -> bool:
    found: list[tuple[str, list[str]]] = []

    def read(remote: Remote) -> bool:
        done = True
        for name in names(remote):
            path = QuoteString(remote.layout.log(name))
            ok, said = remote.run(StringCommand("tail", "-n", str(lines), path))
            done &= ok or remote.say(False, said)
            if ok:
                found.append((f"[{remote.host.name}] {name}: ", said))
        return done

    done = each(remotes, read)
    for name, line in merged(found):
        print(harmless(f"{name}{line}"))
    return done
