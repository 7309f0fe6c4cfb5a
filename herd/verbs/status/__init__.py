"""`make status`: services, loaded models, versions, health, drift, and whether all is served."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from herd import plan
from herd.connections.remote import Remote, ask, each
from herd.core.mac import volumes
from herd.core.mac.boot import after_restart
from herd.core.mac.endpoints import public_gateway, public_proxy
from herd.core.mac.job_definitions import JOBS, jobs_of, listens_on
from herd.core.mac.launchd import Job
from herd.core.mac.mac import sleeps
from herd.core.models.missing_files import Resolved
from herd.core.settings.problems import SettingsError
from herd.core.settings.release import version_of
from herd.core.settings.schema import Settings
from herd.core.text.secret import key_options
from herd.facts.answers import Answers, Served
from herd.facts.boot import AtStart
from herd.facts.files import Says
from herd.facts.gathered import Question
from herd.facts.launchd import Loaded
from herd.facts.listeners import Listener, Listeners
from herd.facts.models import Models
from herd.facts.programs import Linked, Owned
from herd.facts.proxy import Availability
from herd.operations.summary import programs
from herd.verbs import drift, gateway_rows, mac_rows
from herd.verbs.drift import Drift
from herd.verbs.machine_readable import document
from herd.verbs.status import health
from herd.verbs.told import Told
from herd.workstation import api_keys, certificate_files
from herd.workstation.api_keys import Held
from herd.workstation.herd_directory import directory
from herd.workstation.typed_commands import command

PROGRAMS = ["llama-server", "llama-swap"]
"""Of a Mac that serves."""


def status(remotes: Sequence[Remote], *, lost: Mapping[str, str], json_wanted: bool) -> bool:
    """Services, models, versions, health and drift of each host; whether all serve."""
    incomparable = drift.comparable(remotes)
    found: dict[str, Any] = {}

    def asks(remote: Remote) -> Iterator[Question]:
        yield from _status_asks(remote)
        yield from () if incomparable else drift.questions(remote)

    def look(remote: Remote) -> bool:
        told, wrong = _told(remote, incomparable)
        found[remote.host.name] = {"serves": wrong is None, "wrong": wrong, **told.values}
        if not json_wanted:
            print(told.text)
        return wrong is None

    ask(remotes, asks)
    done = each(remotes, look)
    if json_wanted:
        print(document("status", found, lost))
    return done


def _status_asks(remote: Remote) -> Iterator[Question]:
    held, pin = key_held(remote.settings, remote.inventory)
    if remote.settings.serves:
        stdin = key_options(held.secret)
        yield Question(Answers, layout=remote.layout, pin=pin, _stdin=stdin)
        yield from why_no_model_asks(remote)
    yield Question(Linked, links=remote.layout.version_links(programs(remote.layout)))
    yield Question(Listeners, ports=_ports(remote))
    yield Question(AtStart)
    yield Question(Availability, path=remote.layout.availability)
    yield Question(Models, directory=remote.layout.models)
    yield from mac_rows.questions(remote)
    yield from health.asks(remote)
    yield from jobs_ask(remote)
    yield from gateway_rows.asks(remote, held)


def _told(remote: Remote, incomparable: str) -> tuple[Told, str | None]:
    """What there is to say, and why it does not serve."""
    settings = remote.settings
    held, pin = key_held(settings, remote.inventory)
    stdin = key_options(held.secret)
    served = Served()
    if settings.serves:
        served = remote.ask(Answers, layout=remote.layout, pin=pin, _stdin=stdin)
    versions = remote.ask(Linked, links=remote.layout.version_links(programs(remote.layout)))
    jobs = {name: job_of(remote, name) for name in jobs_of(remote.layout)}
    listeners = remote.ask(Listeners, ports=_ports(remote))
    there = remote.ask(Models, directory=remote.layout.models)
    unfit = {model.name for model in locked(remote) if model.pending(there)}
    url = (public_proxy if settings.serves else public_gateway)(settings, remote.address)
    told = Told(f"{remote.host.name}  {url}/v1  (Anthropic's clients: {url})")
    told.add(endpoint=f"{url}/v1")
    for name in JOBS if settings.serves else ():
        listener = listeners.get(listens_on(settings)[name])
        told.row(name, _service(remote, name, jobs[name], listener))
    gateway_rows.tell(told, remote, jobs)
    for model in settings.models:
        lacking = "its files are missing, or changed" if model in unfit else "not loaded"
        told.row(model, served.states.get(model, lacking))
    linked = ", ".join(f"{name} {version_of(each)}" for name, each in versions.items())
    told.row("versions", linked or "none")
    if asleep := sleeps(remote.mac.sleep):
        told.row("sleeps", asleep)
    if settings.launchd_autostart != "off" and not remote.layout.is_linux:
        start, daemon = remote.ask(AtStart), remote.layout.is_daemon
        user, macos = remote.mac.user, remote.mac.macos
        told.row("restart", after_restart(start, daemon=daemon, user=user, macos=macos))
    for row in mac_rows.rows(remote):
        told.row(*row)
    told.add(services={name: job and _plain(job) for name, job in jobs.items()})
    told.add(models={m: served.states.get(m) for m in settings.models}, versions=dict(versions))
    health.tell(told, remote, jobs, there)
    drift.tell(told, Drift(unknown=incomparable) if incomparable else drift.compare(remote, served))
    closed = remote.ask(Availability, path=remote.layout.availability)
    told.add(availability=closed or "ready")
    places = volumes.problems(remote.mac.places, remote.mac.home)
    wrong = (
        next((f"{each.where}: {each.what}" for each in places), None)
        or (_not_serving(remote, served, unfit, closed) if settings.serves else None)
        or gateway_rows.complaint(remote, held)
    )
    untried = "" if held.secret else f" (not tried with a key: {held.lacking})"
    told.row("serves", wrong or f"yes{untried}")
    return told, wrong


def _not_serving(
    remote: Remote, served: Served, unfit: Collection[str], closed: str | None
) -> str | None:
    """Why it does not serve its own models."""
    models = remote.settings.models
    return (
        _asleep(remote, served)
        or (
            f"it takes no new requests ({closed}), until it is told to be ready" if closed else None
        )
        or why_no_model(remote)
        or served.complaint(models, {})
        or _models(set(unfit) - set(served.states))
        or _failed(served, models)
    )


def _plain(job: Job) -> dict[str, Any]:
    """For a program: what changes of a job."""
    return {name: getattr(job, name) for name in ("state", "pid", "runs", "last_exit")}


def _failed(served: Served, models: Iterable[str]) -> str | None:
    """Which could not be served when they were asked last, and have not come up since."""
    last = [
        f"{m} ({served.failed[m]})" for m in models if m in served.failed.keys() - served.states
    ]
    return (
        f"the last request got no answer: {', '.join(last)}; llama-swap.log says why"
        if last
        else None
    )


def no_session(remote: Remote) -> str:
    """Why no job of a user can run just now."""
    if remote.layout.is_linux:
        return f"no systemd of {remote.mac.user}'s own answers there (`loginctl enable-linger`)"
    return f"{remote.mac.user} is not logged in at the console, where LaunchAgents live"


def _ports(remote: Remote) -> list[int]:
    """Of each of its jobs."""
    ports = listens_on(remote.settings)
    return [ports[name] for name in jobs_of(remote.layout)]


def locked(remote: Remote) -> list[Resolved]:
    """Its models, as far as models.lock has them."""
    try:
        settings = {remote.host.name: remote.settings}
        return plan.locked_models([remote.host], settings, remote.inventory)[remote.host.name]
    except SettingsError:
        return []


def _service(remote: Remote, name: str, job: Job | None, listener: Listener | None) -> str:
    """How a service runs, or why it does not."""
    if not (job and job.pid) and listener and listener.belongs_to(remote.layout.root):
        if kind := elsewhere(remote, name, listener):
            return f"runs as {kind}, pid {min(listener.processes)}; a deploy moves it"
        in_terminal = remote.settings.launchd_autostart == "terminal"
        where = "in a Terminal window" if in_terminal else "by hand, outside launchd"
        return f"runs {where}, pid {min(listener.processes)}"
    if job is None and not remote.mac.console and not remote.layout.is_daemon:
        return "waits until somebody logs in at the Mac's screen"
    return _job(job)


def elsewhere(remote: Remote, name: str, listener: Listener) -> str:
    """What a service is that runs as a job of the other domain; "" where it is none."""
    layout = remote.layout
    target = layout.other_domain(remote.mac.uid).target(layout.label(name))
    job = remote.ask(Loaded, target=target)
    other = "an agent" if layout.is_daemon else "a daemon"
    return other if job and job.pid in listener.processes else ""


def _asleep(remote: Remote, served: Served) -> str | None:
    """Why nothing runs that would by itself."""
    if served.llama_swap or served.anonymous:
        return None
    if not remote.mac.console and not remote.layout.is_daemon:
        return f"{remote.mac.user} is not logged in at the Mac's screen, where LaunchAgents live"
    if remote.settings.launchd_autostart == "terminal":
        return f"no Terminal window runs it; `{command('start', LIMIT=remote.host.name)}` opens one"
    return None


def why_no_model_asks(remote: Remote) -> Iterator[Question]:
    """What `why_no_model` asks."""
    prefix, layout = remote.settings.homebrew_prefix, remote.layout
    yield Question(Owned, homebrew_prefix=prefix, programs=PROGRAMS)
    yield Question(Linked, links=layout.version_links(PROGRAMS))
    yield Question(Says, path=layout.config, text=layout.program(PROGRAMS[0]))


def why_no_model(remote: Remote) -> str | None:
    """Why none could be started. Of a llama-server that is declared, and that config.yaml does not
    name yet, nothing is known: another one serves until a deploy has come to its end."""
    layout, prefix = remote.layout, remote.settings.homebrew_prefix
    if not remote.settings.serves:
        return None
    if not remote.ask(Says, path=layout.config, text=layout.program(PROGRAMS[0])):
        return None
    owned = remote.ask(Owned, homebrew_prefix=prefix, programs=PROGRAMS)
    link, is_pinned = owned.links.get(PROGRAMS[0]), remote.settings.llama_cpp_release is not None
    if is_pinned and not remote.mac.server_fault:
        there = remote.ask(Linked, links=remote.layout.version_links(PROGRAMS))
        gone = "the pinned llama-server is not there, so no model can start; deploy again"
        return None if "llama.cpp" in there else gone
    if not is_pinned and (link is None or not link.whole):
        how = "deploy again, or `brew link --overwrite llama.cpp` there"
        return f"llama-server is not linked, so no model can start; {how}"
    if not is_pinned and link and link.formula not in (None, "llama.cpp"):
        return f"llama-server is that of {link.formula}; `brew link --overwrite llama.cpp` there"
    if fault := remote.mac.server_fault:
        return f"llama-server cannot run: {fault}"
    return None


def _models(lacking: Collection[str]) -> str | None:
    """Which of them cannot be started."""
    if not lacking:
        return None
    return f"{', '.join(sorted(lacking))} cannot start: files are missing, or changed; deploy again"


def key_held(settings: Settings, inventory: str) -> tuple[Held, str]:
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
    return f"{job.state}{process}, {job.runs} run{'' if job.runs == 1 else 's'}"


def jobs_ask(remote: Remote) -> Iterator[Question]:
    """What `job_of` asks, for each job."""
    for name in jobs_of(remote.layout):
        yield Question(Loaded, target=_target(remote, name))


def job_of(remote: Remote, name: str) -> Job | None:
    """What launchd has loaded of a service."""
    return remote.ask(Loaded, target=_target(remote, name))


def _target(remote: Remote, name: str) -> str:
    layout = remote.layout
    return layout.domain(remote.mac.uid).target(layout.label(name))
