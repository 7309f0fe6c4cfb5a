"""What a person or a forge does with a change before it is deployed: render, compare, check."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from herd import checks, rendering
from herd.changes import compare
from herd.checks import reports
from herd.core import known
from herd.core.jobs import programs
from herd.core.known import Facts, LlamaServer, Mac
from herd.core.problems import SettingsError, count, report
from herd.facts.llama_server import KnownFlags
from herd.facts.programs import Linked
from herd.remote import Remote, RemoteError, read
from herd.rendering import Rendering


def add_options(verbs: Any, everywhere: argparse.ArgumentParser) -> None:
    """The verbs that need no connection, as `python -m herd` has them."""

    def add(name: str, text: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = verbs.add_parser(
            name, help=text, description=f"{text}.", parents=[everywhere]
        )
        return added

    def out(verb: argparse.ArgumentParser) -> None:
        words = f"default: {rendering.OUT}"
        verb.add_argument("--out", type=Path, default=rendering.OUT, metavar="DIR", help=words)

    out(add("render", "every file that a deploy would write on every host, in build/rendered"))
    diff = add("render-diff", "what a deploy would write otherwise than at another commit")
    diff.add_argument("base", nargs="?", default="main", metavar="BASE", help="default: main")
    check = add("check-configs", "check settings, what follows from them, and what git tracks")
    out(check)
    check.add_argument("--sarif", metavar="FILE", help="findings as SARIF 2.1.0, too")
    check.add_argument("--junit", metavar="FILE", help="findings as JUnit's XML, too")


def run(options: argparse.Namespace) -> bool:
    """One of them."""
    match options.verb:
        case "render":
            return render(options.inventory, options.out)
        case "render-diff":
            return render_diff(options.inventory, options.base)
    return check_configs(options.inventory, options.out, sarif=options.sarif, junit=options.junit)


def render(inventory: str, out: Path) -> bool:
    """Write every host's files below `out`; whether all could be made."""
    found = _rendering(inventory, out)
    if found.problems:
        title = f"{count(found.problems)} in the settings; what could be rendered is in {out}."
        raise SettingsError(report(title, found.problems))
    wrong = [(host, failed) for host in found.hosts for failed in host.failed]
    for host, failed in wrong:
        print(f"[{host.name}] {failed.path}: {failed.error}", file=sys.stderr)
    assumed = [host.name for host in found.hosts if host.known.source != known.ASKED]
    if assumed:
        print(f"by defaults, as nobody asked them (make facts): {', '.join(assumed)}")
    files = sum(len(host.files) for host in found.hosts)
    print(f"{files} files of {len(found.hosts)} hosts are in {out}")
    return not wrong


def _rendering(inventory: str, out: Path) -> Rendering:
    found = rendering.render(read(inventory).inventory, inventory)
    try:
        rendering.write(found, out)
    except ValueError as error:
        raise RemoteError(str(error)) from None
    return found


def facts(remotes: Sequence[Remote], inventory: str) -> bool:
    """Ask the chosen hosts, and keep what they say in facts.lock; forget hosts that are gone."""
    path = rendering.beside(inventory)
    try:
        before = rendering.read_facts(path)
    except ValueError as error:
        raise RemoteError(f"{path} {error}; mend it, or remove it and ask all hosts") from None
    there = {host.name for host in remotes[0].host.inventory}
    hosts = {name: mac for name, mac in before.hosts.items() if name in there}
    servers = dict(before.llama_servers)
    for remote in remotes:
        mac, server = _said(remote)
        if server:
            servers[server.name] = server
        hosts[remote.host.name] = mac
        same = before.hosts.get(remote.host.name) == mac
        print(f"[{remote.host.name}] {'as it was' if same else 'noted'}")
    text = known.dump(Facts(defaults=before.defaults, hosts=hosts, llama_servers=servers))
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
        print(f"{path} is written; it belongs in git")
    return True


def _said(remote: Remote) -> tuple[Mac, LlamaServer | None]:
    mac, layout = remote.mac, remote.layout
    prefix = remote.settings.homebrew_prefix
    flags = remote.host.get_fact(KnownFlags, program=layout.brew("llama-server"))
    every = [program for each in programs(layout).values() for program in each]
    linked = remote.host.get_fact(Linked, homebrew_prefix=prefix, programs=every)
    server = LlamaServer.of(flags) if flags else None
    said = Mac(
        home=mac.home,
        uid=mac.uid,
        homebrew_prefix=prefix,
        macos=list(mac.macos) or None,
        memory=mac.memory or None,
        wired_limit=mac.wired_limit,
        gpu_memory=mac.gpu_memory,
        llama_server=server.name if server else None,
        formulae=dict(linked) or None,
    )
    return said, server


def render_diff(inventory: str, base: str) -> bool:
    """Print what a deploy would write otherwise than at `base`, hosts with one change together."""
    try:
        print(compare(inventory, base))
    except ValueError as error:
        raise RemoteError(str(error)) from None
    return True


def check_configs(inventory: str, out: Path, *, sarif: str | None, junit: str | None) -> bool:
    """Check settings, the files that follow, and what git tracks; whether nothing is wrong."""
    try:
        found = _rendering(inventory, out)
    except RemoteError as error:
        if error.__context__ is None:
            raise
        # The inventory is code, and so is group_data: a slip there is a finding as any other.
        findings, hosts = [checks.unreadable(Path(), inventory, error)], 0
    else:
        findings = checks.run(checks.Project(Path(), inventory, out, found))
        hosts = len(found.hosts)
    for path, make in ((sarif, reports.sarif), (junit, reports.junit)):
        if path:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(make(findings), encoding="utf-8")
    print(reports.text(findings, hosts=hosts))
    return not any(finding.level == checks.ERROR for finding in findings)
