"""`make logs`: the last lines of the services' logs, or all to come."""

import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import gevent  # type: ignore[import-untyped]
from pyinfra.api import QuoteString, StringCommand
from pyinfra.api.output import set_echo

from herd.connections.remote import Remote, each
from herd.core.mac.job_definitions import jobs_of
from herd.core.text.harmless import harmless
from herd.core.text.merged_logs import merged
from herd.verbs import machine_readable
from herd.verbs.machine_readable import document


def logs(
    remotes: Sequence[Remote],
    job: str | None,
    lines: int,
    *,
    follow: bool,
    lost: Mapping[str, str],
    json_wanted: bool,
) -> bool:
    """The last lines of the logs, of all in the order of time; or what comes, as it comes."""
    wanted = _Wanted(job, lines)
    if follow:
        return _follow(remotes, wanted, lost, json_wanted=json_wanted)
    found: dict[str, dict[str, list[str]]] = {}
    done = each(remotes, lambda remote: _read(remote, wanted, found))
    if json_wanted:
        print(document("logs", found, lost))
        return done
    named = {
        f"[{host}] " + ("" if job else f"{name}: "): said
        for host, of in found.items()
        for name, said in of.items()
    }
    for name, line in merged(named.items()):
        print(harmless(f"{name}{line}"))
    return done


@dataclass(frozen=True)
class _Wanted:
    """How many last lines, of a service or of all that a host has."""

    job: str | None
    lines: int

    def of(self, remote: Remote) -> dict[str, str]:
        """Paths by the service."""
        names = [name for name in jobs_of(remote.layout) if self.job in (None, name)]
        return {name: remote.layout.log(name) for name in names}

    def complaint(self, remote: Remote) -> str:
        """Why a host can have none of them."""
        return "" if self.of(remote) else f"it has no {self.job}"


def _read(remote: Remote, wanted: _Wanted, found: dict[str, dict[str, list[str]]]) -> bool:
    if why := wanted.complaint(remote):
        return remote.say(False, [why])
    mine = found.setdefault(remote.host.name, {})
    done = True
    for name, log in wanted.of(remote).items():
        path = QuoteString(log)
        ok, said = remote.run(
            StringCommand("[ -e", path, "] && tail", "-n", str(wanted.lines), path)
        )
        if ok:
            mine[name] = said
        else:
            missing = f"there is no {log}: {name} has not run here yet"
            done = remote.say(False, said or [missing])
    return done


def _follow(
    remotes: Sequence[Remote], wanted: _Wanted, lost: Mapping[str, str], *, json_wanted: bool
) -> bool:
    if json_wanted:
        of = {remote.host.print_prefix: _Followed(remote, wanted) for remote in remotes}
        set_echo(lambda line, **_: _tell(line, of, lost))

    def show(remote: Remote) -> bool:
        if why := wanted.complaint(remote):
            return remote.say(False, [why])
        files = map(QuoteString, wanted.of(remote).values())
        return remote.follow(StringCommand("tail", "-n", str(wanted.lines), "-F", *files))

    # Python's own would raise wherever gevent just is, which is none of ours mostly.
    gevent.signal_handler(signal.SIGINT, gevent.kill, gevent.getcurrent(), KeyboardInterrupt())
    running = [gevent.spawn(each, [remote], show) for remote in remotes]
    gevent.joinall(running)
    return all(one.value for one in running)


@dataclass
class _Followed:
    """Whose lines come from a host just now: tail says so, where it follows several files."""

    remote: Remote
    wanted: _Wanted
    now: str = field(init=False)

    def __post_init__(self) -> None:
        self.now = next(iter(self.wanted.of(self.remote)), "")

    def lines(self, line: str) -> Iterator[tuple[str, str]]:
        """The service and what it wrote; nothing of tail's own."""
        header = re.fullmatch(r"==> (.*) <==", line)
        for name, path in self.wanted.of(self.remote).items():
            if header and header[1] == path:
                self.now = name
                return
        if line:
            yield self.now, line


def _tell(line: str, of: Mapping[str, _Followed], lost: Mapping[str, str]) -> None:
    host = next((prefix for prefix in of if line.startswith(prefix)), "")
    if not host:
        return
    for name, said in of[host].lines(line.removeprefix(host)):
        told = {of[host].remote.host.name: {name: [said]}}
        print(machine_readable.line("logs", told, lost), flush=True)
