"""`make facts`: what each Mac says of itself, kept in facts.lock."""

from collections.abc import Iterator, Sequence

from herd.connections.remote import Remote, RemoteError, ask, each
from herd.core.mac import facts_lock
from herd.core.mac.facts_lock import Facts, LlamaServer, Mac
from herd.core.mac.job_definitions import programs
from herd.core.mac.layout import Layout
from herd.facts.gathered import Question
from herd.facts.llama_server import KnownFlags
from herd.facts.programs import Linked
from herd.workstation import noted_facts


def facts(remotes: Sequence[Remote], inventory: str) -> bool:
    """Ask the chosen hosts, and keep what they say in facts.lock; forget hosts that are gone."""
    path = noted_facts.beside(inventory)
    try:
        before = noted_facts.read(path)
    except ValueError as error:
        raise RemoteError(f"{path} {error}; mend it, or remove it and ask all hosts") from None
    there = {host.name for host in remotes[0].host.inventory}
    hosts = {name: mac for name, mac in before.hosts.items() if name in there}
    servers = dict(before.llama_servers)
    ask(remotes, _asks)

    def note(remote: Remote) -> bool:
        mac, server = _said(remote)
        if server:
            servers[server.name] = server
        hosts[remote.host.name] = mac
        same = before.hosts.get(remote.host.name) == mac
        print(f"[{remote.host.name}] {'as it was' if same else 'noted'}")
        return True

    done = each(remotes, note)
    text = facts_lock.dump(Facts(defaults=before.defaults, hosts=hosts, llama_servers=servers))
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
        print(f"{path} is written; it belongs in git")
    return done


def _asks(remote: Remote) -> Iterator[Question]:
    layout = remote.layout
    yield Question(KnownFlags, program=layout.program("llama-server"))
    yield Question(Linked, links=layout.version_links(_programs(layout)))


def _programs(layout: Layout) -> list[str]:
    return [program for each in programs(layout).values() for program in each]


def _said(remote: Remote) -> tuple[Mac, LlamaServer | None]:
    mac, layout = remote.mac, remote.layout
    prefix = remote.settings.homebrew_prefix
    flags = remote.ask(KnownFlags, program=layout.program("llama-server"))
    linked = remote.ask(Linked, links=layout.version_links(_programs(layout)))
    server = LlamaServer.of(flags) if flags else None
    said = Mac(
        home=mac.home,
        user=mac.user,
        uid=mac.uid,
        system="Linux" if layout.is_linux else None,
        homebrew_prefix=None if layout.is_linux else prefix,
        macos=list(mac.macos) or None,
        chip=mac.chip or None,
        memory=mac.memory or None,
        wired_limit=mac.wired_limit,
        gpu_memory=mac.gpu_memory,
        llama_server=server.name if server else None,
        formulae=dict(linked) or None,
    )
    return said, server
