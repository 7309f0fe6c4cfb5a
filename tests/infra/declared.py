"""What a deploy leaves on a Mac: files with their content, directories, jobs.

Composed of the very functions that a deploy writes them with.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from herd.core.files import written_files
from herd.core.files.written_files import Launcher, Start, Written
from herd.core.mac import job_definitions
from herd.core.mac.job_definitions import JOBS, LLAMA_SWAP
from herd.core.mac.job_definitions import jobs_of as jobs
from herd.facts.files import State
from herd.facts.llama_server import KnownFlags
from herd.facts.programs import Linked
from tests.infra.mac import Mac


@dataclass(frozen=True)
class Job:
    """`definition` is a property list in plain data, `running` whether it must have a process."""

    name: str
    label: str
    path: str
    definition: dict[str, Any] = field(repr=False)
    running: bool
    launcher: Launcher | None = field(default=None, repr=False)


def files_of(mac: Mac, jobs: Iterable[Job]) -> Iterator[Written]:
    """Every file whose content a deploy decides, but for the proxy's code and the models."""
    layout = mac.layout
    if mac.settings.serves:
        flags = mac.ask(KnownFlags, program=layout.program("llama-server"))
        yield written_files.config(layout, mac.models, flags)
        yield written_files.start_command(layout, mac.bundle, mac.identity.uid)
    yield written_files.keys(layout, mac.keys.text)
    if pair := mac.certificate:
        yield from written_files.certificate(layout, key=pair.key, certificate=pair.certificate)
    if layout.gateway:
        yield written_files.gateway(layout, "")[-1]
    for job in jobs:
        yield written_files.plist(job.definition, job.path)
        if job.launcher:
            yield job.launcher


def written_paths(mac: Mac) -> list[str]:
    """Where these are."""
    layout = mac.layout
    pair = [layout.tls_key, layout.tls_certificate] if mac.certificate else []
    one = mac.settings.launchd_autostart == "terminal"
    plists = [layout.plist(name) for name in (JOBS[:1] if one else jobs(layout))]
    launchers = [layout.launcher(name) for name in jobs(layout)] if layout.is_daemon else []
    gateway = [layout.of_gateway("haproxy.cfg")] if layout.gateway else []
    serving = [layout.config, layout.start_command] if mac.settings.serves else []
    return [layout.keys, *serving, *pair, *gateway, *plists, *launchers]


def directories(mac: Mac) -> list[str]:
    """Those that hold what runs, and what is served."""
    layout = mac.layout
    return [
        layout.root,
        *([layout.models] if mac.settings.serves else []),
        *sorted({layout.model_directory(model) for model in mac.settings.models.values()}),
        layout.proxy,
        layout.proxy_release(mac.bundle),
        layout.proxy_environment(mac.bundle),
    ]


def secrets(mac: Mac) -> list[str]:
    """What the programs write themselves, and only its owner may read: logs can hold prompts."""
    layout = mac.layout
    books = [layout.gateway_key, layout.of_gateway("usage.db")] if layout.gateway else []
    serving = [layout.swap_key, layout.usage] if mac.settings.serves else []
    return [*serving, *map(layout.log, jobs(layout)), *books]


def jobs_of(mac: Mac) -> list[Job]:
    """The launchd jobs, in the way that launchd_autostart asks for."""
    layout, autostart = mac.layout, mac.settings.launchd_autostart
    starts = {name: _start(mac, name) for name in jobs(layout)}
    if autostart == "terminal":
        window = written_files.window(layout, mac.bundle, mac.identity.uid, starts)
        path = layout.plist(LLAMA_SWAP)
        return [Job(LLAMA_SWAP, layout.label(LLAMA_SWAP), path, window, running=False)]
    return [
        Job(
            name,
            layout.label(name),
            layout.plist(name),
            written_files.job(layout, mac.bundle, name, **start),
            running=autostart == "background",
            launcher=written_files.launcher(layout, mac.bundle, name, **start),
        )
        for name, start in starts.items()
    ]


def asks(mac: Mac) -> None:
    """What the above depends on."""
    if mac.settings.serves:
        mac.ask(KnownFlags, program=mac.layout.program("llama-server"))
    mac.ask(State, paths=[mac.layout.config])
    for programs in job_definitions.programs(mac.layout).values():
        mac.ask(Linked, links=mac.layout.version_links(programs))


def _start(mac: Mac, name: str) -> Start:
    linked = mac.ask(
        Linked, links=mac.layout.version_links(job_definitions.programs(mac.layout)[name])
    )
    (config,) = mac.ask(State, paths=[mac.layout.config])
    return {"linked": linked, "config": config.sha256}
