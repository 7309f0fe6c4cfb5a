"""What a deploy leaves on a Mac: files with their content, directories, jobs.

Composed of the very functions that a deploy writes them with.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from herd.core import jobs, llama_server, render
from herd.core.jobs import JOBS, LLAMA_SWAP
from herd.facts.files import State
from herd.facts.llama_server import KnownFlags
from herd.facts.programs import Linked
from tests.infra.mac import Mac


@dataclass(frozen=True)
class File:
    """`mode` is octal text ("600"); nothing of a secret file is ever shown."""

    path: str
    content: str = field(repr=False)
    mode: str
    secret: bool = False


@dataclass(frozen=True)
class Job:
    """`definition` is a property list in plain data, `running` whether it must have a process."""

    name: str
    label: str
    path: str
    definition: dict[str, Any] = field(repr=False)
    running: bool


def files_of(mac: Mac, jobs: Iterable[Job]) -> Iterator[File]:
    """Every file whose content a deploy decides, but for the proxy's code and the models."""
    layout = mac.layout
    flags = mac.ask(KnownFlags, program=layout.brew("llama-server")) or llama_server.CURRENT
    config = render.config(
        layout,
        {model.name: model.first for model in mac.models},
        flags,
        versions={model.name: model.version for model in mac.models},
        preload=layout.settings.preload,
    )
    yield File(layout.config, config, "644")
    yield File(layout.keys, mac.keys.text, "600", secret=True)
    start = render.start_command(layout, mac.bundle, mac.identity.uid)
    yield File(layout.start_command, start, "755")
    if mac.certificate:
        yield File(layout.tls_certificate, mac.certificate.certificate, "644")
        yield File(layout.tls_key, mac.certificate.key, "600", secret=True)
    for job in jobs:
        yield File(job.path, render.plist(job.definition), "644")


def directories(mac: Mac) -> list[str]:
    """Those that hold what runs, and what is served."""
    layout = mac.layout
    return [
        layout.root,
        layout.models,
        *sorted({layout.model_directory(model) for model in mac.settings.models.values()}),
        layout.proxy,
        layout.proxy_release(mac.bundle),
        layout.proxy_environment(mac.bundle),
    ]


def secrets(mac: Mac) -> list[str]:
    """What the programs write themselves, and only its owner may read: logs can hold prompts."""
    layout = mac.layout
    return [*map(layout.log, JOBS), layout.usage]


def jobs_of(mac: Mac) -> list[Job]:
    """The launchd jobs, in the way that launchd_autostart asks for."""
    layout, autostart = mac.layout, mac.settings.launchd_autostart
    if autostart == "terminal":
        window = jobs.window(
            layout,
            depends_on={name: _depends_on(mac, name) for name in JOBS},
            start_command=render.start_command(layout, mac.bundle, mac.identity.uid),
        )
        path = layout.plist(LLAMA_SWAP)
        return [Job(LLAMA_SWAP, layout.label(LLAMA_SWAP), path, window, running=False)]
    return [
        Job(
            name,
            layout.label(name),
            layout.plist(name),
            jobs.definition(layout, name, bundle=mac.bundle, depends_on=_depends_on(mac, name)),
            running=autostart == "background",
        )
        for name in JOBS
    ]


def _depends_on(mac: Mac, name: str) -> dict[str, str]:
    layout = mac.layout
    linked = mac.ask(
        Linked,
        homebrew_prefix=mac.settings.homebrew_prefix,
        programs=jobs.programs(layout)[name],
    )
    (config,) = mac.ask(State, paths=[layout.config])
    return jobs.depends_on(layout, name, bundle=mac.bundle, linked=linked, config=config.sha256)
