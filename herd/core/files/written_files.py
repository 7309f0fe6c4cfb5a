"""Every file that a deploy writes on a Mac, to the byte.

Operations write these, and `make render` shows the same: there is no second place that makes them.
Models' files and the proxy's environment are fetched, not written, so they are not here.
"""

import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypedDict

from herd.core.files import templates
from herd.core.linux import units
from herd.core.mac import job_definitions, llama_server_flags
from herd.core.mac.archives import Bundle
from herd.core.mac.archives import fetcher as packed_fetcher
from herd.core.mac.domains import DAEMONS, UNIT
from herd.core.mac.job_definitions import JOBS, LLAMA_SWAP, jobs_of
from herd.core.mac.launchd import compact, digest_of
from herd.core.mac.layout import Layout
from herd.core.mac.llama_server_flags import Flags
from herd.core.models.missing_files import Resolved


@dataclass(frozen=True)
class Written:
    """A file: absolute path, permissions ("644"), bytes. `secret` ones are for their owner only,
    and must be shown to nobody."""

    path: str
    mode: str
    content: bytes = field(repr=False)
    secret: bool = False

    @property
    def text(self) -> str:
        """The content; all of ours but an archive is UTF-8."""
        return self.content.decode()

    @property
    def sha256(self) -> str:
        """Of the content."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Launcher(Written):
    """What a daemon runs. At its start it notes its `digest` in the file `started`, so what runs
    can be told from what is written."""

    digest: str = ""
    started: str = ""
    log: str = ""


class Start(TypedDict):
    """What a job finds at its start: versions by formula, and the SHA-256 of config.yaml."""

    linked: Mapping[str, str]
    config: str


def config(layout: Layout, files: Iterable[Resolved], flags: Flags | None) -> Written:
    """llama-swap's configuration, in flags that this llama-server knows; None is not known yet."""
    text = templates.config(
        *(layout, files, flags or llama_server_flags.CURRENT), preload=layout.settings.preload
    )
    return Written(layout.config, "600", text.encode())


def gateway(layout: Layout, authorities: str | None) -> list[Written]:
    """HAProxy's configuration, where this host is a gateway, and who may vouch for the Macs (PEM)
    before it."""
    if layout.gateway is None:
        return []
    text = templates.haproxy(layout.gateway)
    config = Written(layout.of_gateway("haproxy.cfg"), "600", text.encode())
    if authorities is None:
        return [config]
    return [Written(layout.of_gateway("authorities.pem"), "644", authorities.encode()), config]


def keys(layout: Layout, text: str, *, secret: bool = True) -> Written:
    """The proxy's config.json. Hashes of random keys are no secret, a plain key is."""
    return Written(layout.keys, "600", text.encode(), secret)


def certificate(layout: Layout, *, key: str, certificate: str) -> list[Written]:
    """The key first: until both are there, the proxy goes on with what it has."""
    return [
        Written(layout.tls_key, "600", key.encode(), secret=True),
        Written(layout.tls_certificate, "644", certificate.encode()),
    ]


def requirements(layout: Layout, bundle: Bundle) -> Written:
    """The locked dependencies, from which the proxy's environment is made."""
    return Written(f"{layout.proxy}/requirements.lock", "644", bundle.requirements.encode())


def release(layout: Layout, bundle: Bundle) -> list[Written]:
    """The proxy's code, as scripts/change/proxy-release.sh unpacks it."""
    directory = layout.proxy_release(bundle)
    return [Written(f"{directory}/{name}", "644", code) for name, code in _unpacked(bundle)]


@cache
def _unpacked(bundle: Bundle) -> list[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(bundle.archive)) as tar:
        return [(member.name, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]


def fetcher(layout: Layout) -> Written:
    """The program that fetches models, where there is something to fetch."""
    return Written(layout.fetcher, "644", packed_fetcher())


def start_command(layout: Layout, bundle: Bundle, uid: int) -> Written:
    """The script that runs the stack in the foreground of a terminal."""
    text = templates.start_command(layout, bundle, uid)
    return Written(layout.start_command, "755", text.encode())


def job(
    layout: Layout, bundle: Bundle, name: str, linked: Mapping[str, str], config: str
) -> dict[str, Any]:
    """The definition of one launchd job, as plain data."""
    if layout.is_daemon:
        return job_definitions.daemon(layout, name)
    needs = job_definitions.depends_on(layout, name, bundle=bundle, linked=linked, config=config)
    return job_definitions.definition(layout, name, bundle=bundle, depends_on=needs)


def launcher(
    layout: Layout, bundle: Bundle, name: str, linked: Mapping[str, str], config: str
) -> Launcher | None:
    """What a daemon runs; an agent's property list has all itself."""
    if not layout.is_daemon:
        return None
    needs = job_definitions.depends_on(layout, name, bundle=bundle, linked=linked, config=config)
    digest = digest_of(templates.launcher(layout, bundle, name, ""), needs)
    text = templates.launcher(layout, bundle, name, digest)
    return Launcher(
        *(layout.launcher(name), "700", text.encode()),
        digest=digest,
        started=layout.started(name),
        log=layout.log(name),
    )


def window(layout: Layout, bundle: Bundle, uid: int, starts: Mapping[str, Start]) -> dict[str, Any]:
    """The definition of the job that opens a Terminal window, for all that the window runs."""
    needs = {
        name: job_definitions.depends_on(layout, name, bundle=bundle, **starts[name])
        for name in JOBS
    }
    text = start_command(layout, bundle, uid).text
    return job_definitions.window(layout, depends_on=needs, start_command=text)


def plist(definition: Mapping[str, Any], path: str) -> Written:
    """The property list of a job, or its unit. launchd takes none that others may write; of a
    daemon's, root gets the text in a command line (herd/core/mac/sudo_rules.py)."""
    if path.endswith(UNIT):
        return Written(path, "644", units.unit(definition).encode())
    of_root = path.startswith(f"{DAEMONS.directory}/")
    text = compact(definition) if of_root else templates.plist(definition)
    return Written(path, "644", text.encode())


def jobs(layout: Layout, bundle: Bundle, uid: int, starts: Mapping[str, Start]) -> list[Written]:
    """The property lists that launchd_autostart asks for, and what daemons run."""
    if layout.settings.launchd_autostart == "terminal":
        return [plist(window(layout, bundle, uid, starts), layout.plist(LLAMA_SWAP))]
    plists = [
        plist(job(layout, bundle, name, **starts[name]), layout.plist(name))
        for name in jobs_of(layout)
    ]
    launchers = [launcher(layout, bundle, name, **starts[name]) for name in jobs_of(layout)]
    return [*plists, *(each for each in launchers if each)]
