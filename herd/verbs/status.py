"""`make status`: services, loaded models, versions, and whether all is served."""

from collections.abc import Iterator, Sequence

from herd.connections.remote import Remote, ask, each
from herd.core.mac.endpoints import public_proxy
from herd.core.mac.job_definitions import JOBS
from herd.core.mac.launchd import Job
from herd.core.settings.schema import Settings
from herd.core.text.harmless import harmless
from herd.core.text.secret import key_options
from herd.facts.answers import Answers
from herd.facts.gathered import Question
from herd.facts.launchd import Loaded
from herd.facts.programs import Linked
from herd.workstation import api_keys, certificate_files
from herd.workstation.api_keys import Held
from herd.workstation.herd_directory import directory

PROGRAMS = ["llama-server", "llama-swap"]


def status(remotes: Sequence[Remote]) -> bool:
    """Services, models and versions of each host; whether all serve."""
    ask(remotes, _status_asks)
    return each(remotes, _status)


def _status_asks(remote: Remote) -> Iterator[Question]:
    held, pin = _held(remote.settings, remote.inventory)
    prefix, stdin = remote.settings.homebrew_prefix, key_options(held.secret)
    yield Question(Answers, layout=remote.layout, pin=pin, _stdin=stdin)
    yield Question(Linked, homebrew_prefix=prefix, programs=PROGRAMS)
    yield from jobs_ask(remote)


def _status(remote: Remote) -> bool:
    settings = remote.settings
    held, pin = _held(settings, remote.inventory)
    served = remote.ask(Answers, layout=remote.layout, pin=pin, _stdin=key_options(held.secret))
    prefix = settings.homebrew_prefix
    versions = remote.ask(Linked, homebrew_prefix=prefix, programs=PROGRAMS)
    url = public_proxy(settings, remote.address)
    print(f"{remote.host.name}  {url}/v1  (Anthropic's clients: {url})")
    for name in JOBS:
        print(f"  {name:<12}{harmless(_job(job_of(remote, name)))}")
    for model in settings.models:
        print(f"  {model:<12}{harmless(served.states.get(model, 'not loaded'))}")
    linked = ", ".join(f"{name} {version}" for name, version in versions.items())
    print(f"  {'versions':<12}{harmless(linked) or 'none'}")
    wrong = served.complaint(settings.models, {})
    untried = "" if held.secret else f" (not tried with a key: {held.lacking})"
    print(f"  {'serves':<12}{harmless(wrong) if wrong else f'yes{untried}'}")
    return wrong is None


def _held(settings: Settings, inventory: str) -> tuple[Held, str]:
    """The key of whoever is here, and the pin of the certificate to show it to; a workstation
    without either may look, too."""
    try:
        pin = certificate_files.pin(certificate_files.shown(settings, directory(inventory)))
        return api_keys.shipped(settings, api_keys.beside(inventory)).held(), pin
    except ValueError as error:
        return Held(lacking=str(error)), ""


def _job(job: Job | None) -> str:
    if job is None:
        return "not loaded"
    process = f", pid {job.pid}" if job.pid else f", last exit {job.last_exit}"
    return f"{job.state}{process}, {job.runs} runs"


def jobs_ask(remote: Remote) -> Iterator[Question]:
    """What `job_of` asks, for each job."""
    for name in JOBS:
        yield Question(Loaded, uid=remote.mac.uid, label=remote.layout.label(name))


def job_of(remote: Remote, name: str) -> Job | None:
    """What launchd has loaded of a service."""
    label = remote.layout.label(name)
    return remote.ask(Loaded, uid=remote.mac.uid, label=label)
