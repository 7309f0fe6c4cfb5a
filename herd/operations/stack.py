"""The stack as a whole: nothing else of it runs, and it serves."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand

from herd.core.files import written_files
from herd.core.files.written_files import Start
from herd.core.mac import domains, job_definitions
from herd.core.mac.archives import Bundle
from herd.core.mac.endpoints import local_proxy
from herd.core.mac.job_definitions import GATEWAY_JOBS, JOBS, LLAMA_SWAP, PROXY, jobs_of
from herd.core.mac.launchd import Job, Started
from herd.core.mac.layout import Layout
from herd.facts.answers import Answers
from herd.facts.files import State
from herd.facts.gathered import Question
from herd.facts.launchd import HowStarted, Loaded
from herd.facts.listeners import Listeners
from herd.facts.mac import Mac
from herd.facts.programs import Linked
from herd.facts.script import script
from herd.operations import launchd
from herd.operations.commands import Commands, operation
from herd.operations.files import is_as_wanted, show_diff, write
from herd.operations.last_good import guarded, without_streams


def _strays_asks(layout: Layout, bundle: Bundle, *, uid: int) -> Iterator[Question]:
    yield Question(Listeners, ports=list(layout.ports))
    for name in jobs_of(layout):
        yield Question(Loaded, target=layout.domain(uid).target(layout.label(name)))


@operation(asks=_strays_asks, changes=[Listeners, Loaded, Answers])
def without_strays(layout: Layout, bundle: Bundle, *, uid: int) -> Commands:
    """
    Stop what runs of this stack outside launchd: a hand-run start, an old Terminal window.

    + layout: where the stack lives, and its settings
    + bundle: the proxy's code
    + uid: whose jobs they are
    """
    strays = strays_of(layout, bundle, uid)
    if not strays:
        host.noop("nothing of the stack runs outside launchd")
        return
    host.log(f"stopping what runs outside launchd: {', '.join(map(str, strays))}")
    yield script("stop-processes", *strays)


def strays_of(layout: Layout, bundle: Bundle, uid: int) -> list[int]:
    """Processes of this stack on its ports that no job of launchd started."""
    listeners = host.get_fact(Listeners, ports=list(layout.ports))
    ours = {
        pid: process
        for listener in listeners.values()
        if listener.belongs_to(layout.root)
        for pid, process in listener.processes.items()
    }
    target = layout.domain(uid).target
    names = jobs_of(layout) if ours else ()
    loaded = {name: host.get_fact(Loaded, target=target(layout.label(name))) for name in names}
    kept = {job.pid for job in loaded.values() if job and job.pid}
    if ours and _is_window(loaded.get(LLAMA_SWAP), layout, bundle, uid):
        ports = {layout.settings.proxy_port, layout.settings.llama_swap_port} & listeners.keys()
        kept |= {pid for port in ports for pid in listeners[port].processes}
    # A llama-server whose llama-swap was killed lives on, and keeps its port from the next one.
    strays = {p for p in ours if p not in kept and ours[p].parent not in kept}
    if strays:
        # What is a job of the other domain is none: `without_old_jobs` ends it.
        elsewhere = layout.other_domain(uid).target
        others = [host.get_fact(Loaded, target=elsewhere(layout.label(name))) for name in names]
        kept = {job.pid for job in others if job and job.pid}
        strays = {p for p in strays if p not in kept and ours[p].parent not in kept}
    return sorted(strays)


def _old_jobs_asks(layout: Layout, job_names: Sequence[str], *, uid: int) -> Iterator[Question]:
    yield launchd.installed(layout)
    for name in jobs_of(layout) if layout.is_daemon else ():
        agents = domains.agents(uid, layout.home)
        yield Question(Loaded, target=agents.target(layout.label(name)))


@operation(asks=_old_jobs_asks, changes=launchd.CHANGED)
def without_old_jobs(layout: Layout, job_names: Sequence[str], *, uid: int) -> Commands:
    """
    Remove jobs that an earlier deploy of this stack installed and this one does not want.

    + layout: where the stack lives, and its settings
    + job_names: the jobs that it wants
    + uid: the user at the console
    """
    wanted = {(layout.domain(uid).kind, layout.label(name)) for name in job_names}
    installed = set(launchd.installed(layout).ask(host))
    if layout.is_daemon:
        agents = domains.agents(uid, layout.home)
        # One that goes on without its property list would start its processes again and again.
        labels = [layout.label(name) for name in jobs_of(layout)]
        loaded = {n for n in labels if host.get_fact(Loaded, target=agents.target(n))}
        installed |= {(agents.kind, label) for label in loaded}
    old = sorted(installed - wanted)
    if not old:
        host.noop("there are no old jobs")
        return
    ends = any(label == layout.label(PROXY) for _, label in old)
    yield from guarded(layout, _without(old, layout, uid), ends_streams=ends)


def _without(old: Iterable[tuple[str, str]], layout: Layout, uid: int) -> Commands:
    agents = domains.agents(uid, layout.home)
    for kind, label in old:
        domain = domains.of_kind(kind, uid, layout.home)
        gives_up = layout.is_daemon and domain == agents
        yield from (launchd.give_up if gives_up else launchd.remove)(label, domain=domain)


def _start_command_asks(layout: Layout, bundle: Bundle, *, uid: int) -> Iterator[Question]:
    yield Question(State, paths=[layout.start_command])


@operation(asks=_start_command_asks, changes=[State])
def start_command(layout: Layout, bundle: Bundle, *, uid: int) -> Commands:
    """
    Keep the script that runs the stack in the foreground.

    + layout: where the stack lives, and its settings
    + bundle: the proxy's code
    + uid: whose jobs it stops
    """
    want = written_files.start_command(layout, bundle, uid)
    (entry,) = host.get_fact(State, paths=[want.path])
    if is_as_wanted(entry, want.content, want.mode):
        host.noop("it is as wanted")
        return
    show_diff(want.path, want.text)
    yield from guarded(layout, write(want.path, want.content, want.mode))


def _job_asks(layout: Layout, bundle: Bundle, job_name: str, *, uid: int) -> Iterator[Question]:
    yield from _start_asks(layout, job_name)
    secret = layout.swap_key if job_name == LLAMA_SWAP else None
    launcher = (layout.launcher(job_name), layout.started(job_name)) if layout.is_daemon else None
    domain, label = layout.domain(uid), layout.label(job_name)
    yield from launchd.asks(domain=domain, label=label, secret=secret, launcher=launcher)


@operation(asks=_job_asks, changes=launchd.CHANGED)
def job(layout: Layout, bundle: Bundle, job_name: str, *, uid: int) -> Commands:
    """
    Keep one of the stack's launchd jobs exactly as it should be.

    + layout: where the stack lives, and its settings
    + bundle: the proxy's code
    + job_name: which job, "llama-swap" or "proxy"
    + uid: the user at the console
    """
    yield from keep_job(layout, bundle, job_name, uid)


def keep_job(layout: Layout, bundle: Bundle, job_name: str, uid: int) -> Commands:
    """The same, for use in another operation."""
    autostart, start = layout.settings.launchd_autostart, _start(layout, job_name)
    converging = launchd.converge(
        written_files.job(layout, bundle, job_name, **start),
        domain=layout.domain(uid),
        running=autostart == "background",
        console=layout.is_daemon or autostart != "off" or _console(layout),
        secret=layout.swap_key if job_name == LLAMA_SWAP else None,
        launcher=written_files.launcher(layout, bundle, job_name, **start),
    )
    if job_name == PROXY:
        converging = _tried(layout, bundle, converging)
    if job_name in GATEWAY_JOBS:
        yield from without_streams(layout, converging)
    else:
        yield from guarded(layout, converging, ends_streams=True)


def _tried(layout: Layout, bundle: Bundle, commands: Commands) -> Commands:
    """Before the proxy that runs is ended, the new one comes up beside it."""
    first = next(commands, None)
    if first is None:
        return
    python = layout.proxy_python(bundle)
    yield script(
        *("accept-proxy", local_proxy(layout.settings).partition(":")[0]),
        *(layout.proxy_release(bundle), python, *job_definitions.proxy_trial(layout, python)),
    )
    yield first
    yield from commands


def _metal_asks(layout: Layout, bundle: Bundle) -> Iterator[Question]:
    yield from _start_asks(layout, LLAMA_SWAP)
    plist, started = layout.plist(LLAMA_SWAP), layout.started(LLAMA_SWAP)
    yield Question(HowStarted, plist=plist, started=started)


@operation(asks=_metal_asks, changes=[HowStarted])
def on_metal(layout: Layout, bundle: Bundle) -> Commands:
    """
    Fail where a daemon's llama-server finds no GPU: it would serve on the CPU, and look healthy.

    + layout: where the stack lives, and its settings
    + bundle: the proxy's code
    """
    launcher = written_files.launcher(layout, bundle, LLAMA_SWAP, **_start(layout, LLAMA_SWAP))
    path = layout.plist(LLAMA_SWAP)

    def how() -> Started:
        return host.get_fact(HowStarted, plist=path, started=layout.started(LLAMA_SWAP))

    if launcher is None or (how().digest == launcher.digest and not how().without_metal):
        host.noop("llama-server finds Metal where launchd runs it")
        return
    yield script("await-start", launcher.started, launcher.digest, 60)
    if said := how().without_metal:
        words = (
            "llama-server finds no Metal device as a daemon, and would serve on the CPU: it says "
            f"{said}. Set launchd_domain = 'agent', and log in at the Mac's screen."
        )
        yield from guarded(layout, _failure(words))


def _failure(words: str) -> Commands:
    yield StringCommand("printf '%s\\n'", QuoteString(words), ">&2; exit 1")


def _window_asks(layout: Layout, bundle: Bundle, *, uid: int) -> Iterator[Question]:
    for name in JOBS:
        yield from _start_asks(layout, name)
    domain, label = layout.domain(uid), layout.label(LLAMA_SWAP)
    yield from launchd.asks(domain=domain, label=label, secret=layout.swap_key)
    yield Question(State, paths=[layout.swap_key])


@operation(asks=_window_asks, changes=launchd.CHANGED)
def window(layout: Layout, bundle: Bundle, *, uid: int) -> Commands:
    """
    Keep the launchd job that opens the stack in a Terminal window at login.

    + layout: where the stack lives, and its settings
    + bundle: the proxy's code
    + uid: the user at the console
    """
    converging = launchd.converge(
        _window(layout, bundle, uid),
        domain=layout.domain(uid),
        running=False,
        secret=layout.swap_key,
    )
    yield from guarded(layout, converging)


def _is_window(main: Job | None, layout: Layout, bundle: Bundle, uid: int) -> bool:
    """Whether a Terminal window shall run the stack, and the job that opened it is right: then
    so is what it runs."""
    if layout.settings.launchd_autostart != "terminal" or main is None:
        return False
    (key,) = host.get_fact(State, paths=[layout.swap_key])
    return launchd.is_secret(key) and main.runs_definition(
        _window(layout, bundle, uid), layout.plist(LLAMA_SWAP)
    )


def _window(layout: Layout, bundle: Bundle, uid: int) -> dict[str, Any]:
    starts = {name: _start(layout, name) for name in JOBS}
    return written_files.window(layout, bundle, uid, starts)


def _start_asks(layout: Layout, name: str) -> Iterator[Question]:
    yield linked(layout, name)
    if name == LLAMA_SWAP and not layout.settings.llama_swap_watch_config:
        yield Question(State, paths=[layout.config])


def _start(layout: Layout, name: str) -> Start:
    """What a job finds at its start on this Mac."""
    versions = linked(layout, name).ask(host)
    if name == PROXY or layout.settings.llama_swap_watch_config:
        return {"linked": versions, "config": ""}
    (config,) = host.get_fact(State, paths=[layout.config])
    return {"linked": versions, "config": config.sha256}


def _console(layout: Layout) -> bool:
    root, prefix = layout.settings.stack_root, layout.settings.homebrew_prefix
    return bool(host.get_fact(Mac, root=root, homebrew_prefix=prefix).console)


def _window_opened_asks(layout: Layout, *, uid: int) -> Iterator[Question]:
    yield Question(Listeners, ports=list(layout.ports))


@operation(asks=_window_opened_asks, changes=launchd.CHANGED)
def window_opened(layout: Layout, *, uid: int) -> Commands:
    """
    Open the stack in a Terminal window, unless it runs already.

    + layout: where the stack lives
    + uid: the user at the console
    """
    settings = layout.settings
    ports = [settings.proxy_port, settings.llama_swap_port]
    if host.get_fact(Listeners, ports=list(layout.ports)).keys() >= set(ports):
        host.noop("the stack runs")
        return
    yield script("window-open", layout.domain(uid).target(layout.label(LLAMA_SWAP)), *ports)


def linked(layout: Layout, job_name: str) -> Question:
    """Which versions of its programs a job would run."""
    programs = job_definitions.programs(layout)[job_name]
    return Question(Linked, links=layout.version_links(programs))
