"""What a deploy would write on every host, without a connection, the Hub or a secret."""

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote
from xml.parsers.expat import ExpatError

from jinja2 import TemplateError
from pyinfra.api import Host

from herd import plan
from herd.core.files import written_files
from herd.core.files.written_files import Start, Written
from herd.core.mac import facts_lock
from herd.core.mac.archives import bundle
from herd.core.mac.facts_lock import Facts, Known
from herd.core.mac.job_definitions import ALL_JOBS, GATEWAY, LLAMA_SWAP, jobs_of
from herd.core.mac.layout import Layout
from herd.core.mac.releases import pinned
from herd.core.models.memory_estimate import Served
from herd.core.models.missing_files import Resolved, repositories
from herd.core.settings.problems import Problem
from herd.core.settings.schema import Settings
from herd.plan import Plan
from herd.workstation import noted_facts
from herd.workstation.api_keys import Shipped
from herd.workstation.herd_directory import directory
from herd.workstation.typed_commands import command

MANIFEST = "MANIFEST"
_SECRET = b"(secret: the deploy takes it from the workstation)\n"


@dataclass(frozen=True)
class Failed:
    """A file that could not be made, and why."""

    path: str
    error: Exception


@dataclass(frozen=True)
class Rendered:
    """One host: what is wanted there, what is known of it, and the files that follow."""

    name: str
    settings: Settings
    layout: Layout
    known: Known
    models: Sequence[Resolved]
    together: Sequence[tuple[Served, ...]]
    files: Sequence[Written]
    failed: Sequence[Failed] = ()

    @property
    def directory(self) -> str:
        """The name of its directory in a rendering, which is no way out of it."""
        name = quote(self.name, safe="@")
        return name if name.strip(".") else name.replace(".", "%2E")


@dataclass(frozen=True)
class Rendering:
    """All hosts with valid settings, and what is wrong with the settings of any."""

    hosts: Sequence[Rendered]
    problems: Sequence[Problem]
    data: dict[str, Host] = field(default_factory=dict, repr=False)


def out(inventory: str) -> Path:
    """Where a rendering goes, if nobody says otherwise."""
    return directory(inventory) / "build/rendered"


def render(hosts: Iterable[Host], inventory: str) -> Rendering:
    """Every host's files, as far as settings and templates allow."""
    hosts = list(hosts)
    wanted, problems = plan.without_secrets(hosts, inventory)
    try:
        facts = noted_facts.read(noted_facts.beside(inventory))
    except ValueError as error:
        facts, fix = Facts(), f"run `{command('facts')}`, or take the one before from git."
        problems.append(Problem(str(noted_facts.beside(inventory)), f"It {error}.", fix, "facts"))
    rendered = [_host(host, wanted, facts) for host in hosts if host.name in wanted.settings]
    return Rendering(rendered, problems, {host.name: host for host in hosts})


def _host(host: Host, wanted: Plan, facts: Facts) -> Rendered:
    settings = wanted.settings[host.name]
    mac = facts.of(host.name, host.data.get("ssh_user"))
    layout = Layout(
        *(settings, mac.home, mac.user),
        gateway=wanted.gateways.get(host.name),
        system=mac.system,
    )
    files: list[Written] = []
    failed: list[Failed] = []

    def add(path: str, make: Callable[[], Iterable[Written]]) -> None:
        try:
            files.extend(make())
        except (TemplateError, ExpatError, ValueError, TypeError) as error:
            failed.append(Failed(path, error))

    packed, models = bundle(), wanted.models[host.name]
    # Where models lack, that is a problem; who has none serves none.
    if settings.serves and {model.name for model in models} == settings.models.keys():
        add(layout.config, lambda: [written_files.config(layout, models, mac.flags)])
    add(layout.keys, lambda: [_keys(layout, wanted.keys.get(host.name))])
    if settings.proxy_tls_certificate:
        text = _SECRET.decode()
        pair = written_files.certificate(layout, key=text, certificate=text)
        files += [replace(file, secret=True) for file in pair]
    add(layout.proxy, lambda: [written_files.requirements(layout, packed)])
    add(layout.proxy, lambda: written_files.release(layout, packed))
    if settings.serves:
        add(layout.fetcher, lambda: [written_files.fetcher(layout)])
        add(layout.start_command, lambda: [written_files.start_command(layout, packed, mac.uid)])
    # Who may vouch for the Macs is in a file of the workstation, as a certificate is.
    pem = _SECRET.decode() if settings.gateway_tls_authorities else None
    add(layout.of_gateway("haproxy.cfg"), lambda: written_files.gateway(layout, pem))
    config = next((file.sha256 for file in files if file.path == layout.config), "")
    starts = {name: Start(linked=_linked(mac, settings, name), config=config) for name in ALL_JOBS}
    first = layout.plist(jobs_of(layout)[0])
    add(first, lambda: written_files.jobs(layout, packed, mac.uid, starts))
    return Rendered(
        *(host.name, settings, layout, mac, models, wanted.together[host.name]),
        files=sorted(files, key=lambda file: file.path),
        failed=failed,
    )


def _keys(layout: Layout, shipped: Shipped | None) -> Written:
    """Hashes, where `api_keys` has them; else the workstation has keys, and they may be plain."""
    if shipped is None:
        return written_files.keys(layout, _SECRET.decode())
    return written_files.keys(layout, shipped.text, secret=False)


def _linked(mac: Known, settings: Settings, job: str) -> dict[str, str]:
    """The versions that facts/programs.py would find behind links."""
    formulae = {LLAMA_SWAP: ["llama-swap", "llama.cpp"], GATEWAY: []}.get(
        job, [settings.proxy_python]
    )
    known = {**mac.formulae, **pinned(settings)}
    return {name: known[name] for name in formulae if name in known}


def write(rendering: Rendering, out: Path) -> None:
    """Have these files and no others below `out`. Raises ValueError when something else is there.

    Modes are in each host's MANIFEST; here all can be read, as nothing secret is among them.
    """
    marker = out / ".gitignore"
    if out.exists() and any(out.iterdir()) and not marker.exists():
        raise ValueError(f"{out} holds something else than a rendering; remove it, or name another")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    made: set[str] = set()
    for host in rendering.hosts:
        root = out / host.directory
        for file in host.files:
            path = f"{root}{file.path}"
            directory = os.path.dirname(path)
            if directory not in made:
                os.makedirs(directory, exist_ok=True)
                made.add(directory)
            with open(path, "wb") as target:
                target.write(_SECRET if file.secret else file.content)
        root.mkdir(exist_ok=True)
        (root / MANIFEST).write_text(manifest(host), encoding="utf-8")
    marker.write_text("*\n")


def manifest(host: Rendered) -> str:
    """What cannot be seen in the files: how the Mac is known, modes, models' files."""
    asks = command("facts")
    how = {
        facts_lock.ASKED: f"asked ({asks})",
        facts_lock.DECLARED: f"DEFAULTS declared in facts.lock; `{asks}` asks the Mac",
        facts_lock.ASSUMED: f"DEFAULTS of the toolkit; `{asks}` asks the Mac",
    }
    lines = [f"host {host.name}", f"facts {how[host.known.source]}", f"home {host.known.home}"]
    flags = "known" if host.known.flags else "DEFAULT"
    lines.append(f"llama-server's flags {flags}")
    for file in host.files:
        digest = "secret" if file.secret else file.sha256[:16]
        lines.append(f"{file.mode} {digest} {file.path}")
    for model in repositories(host.models):
        for split in model.files:
            path = host.layout.under("models", model.path(split))
            lines.append(f"model {split.sha256[:16]} {split.size} {path}")
    return "\n".join(lines) + "\n"
