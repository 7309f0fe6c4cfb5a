"""Services between deploys: seen, started, stopped, their logs, the models that they hold."""

from collections.abc import Sequence
from urllib.parse import quote

from pyinfra.api import QuoteString, StringCommand

from herd import keys, tls
from herd.core.endpoints import public_proxy
from herd.core.harmless import harmless
from herd.core.jobs import JOBS, LLAMA_SWAP
from herd.core.launchd import Job
from herd.core.secrets import key_options
from herd.core.settings import Settings
from herd.facts.answers import Answers
from herd.facts.launchd import Loaded
from herd.facts.listeners import Listeners
from herd.facts.programs import Linked
from herd.facts.script import script
from herd.keys import Held
from herd.remote import Remote, only


def status(remotes: Sequence[Remote]) -> bool:
    """Services, models and versions of each host; whether all serve."""
    return all([_status(remote) for remote in remotes])


def _status(remote: Remote) -> bool:
    settings = remote.settings
    held, pin = _held(settings)
    served = remote.host.get_fact(
        Answers, layout=remote.layout, pin=pin, _stdin=key_options(held.secret)
    )
    versions = remote.host.get_fact(
        Linked, homebrew_prefix=settings.homebrew_prefix, programs=["llama-server", "llama-swap"]
    )
    url = public_proxy(settings, remote.address)
    print(f"{remote.host.name}  {url}/v1  (Anthropic's clients: {url})")
    for name in JOBS:
        print(f"  {name:<12}{harmless(_job(_loaded(remote, name)))}")
    for model in settings.models:
        print(f"  {model:<12}{harmless(served.states.get(model, 'not loaded'))}")
    linked = ", ".join(f"{name} {version}" for name, version in versions.items())
    print(f"  {'versions':<12}{harmless(linked) or 'none'}")
    wrong = served.complaint(settings.models, [])
    untried = "" if held.secret else f" (not tried with a key: {held.lacking})"
    print(f"  {'serves':<12}{harmless(wrong) if wrong else f'yes{untried}'}")
    return wrong is None


def _held(settings: Settings) -> tuple[Held, str]:
    """The key of whoever is here, and the pin of the certificate to show it to; a workstation
    without either may look, too."""
    try:
        pin = tls.pin(tls.shown(settings))
        return keys.shipped(settings).held(), pin
    except ValueError as error:
        return Held(lacking=str(error)), ""


def _job(job: Job | None) -> str:
    if job is None:
        return "not loaded"
    process = f", pid {job.pid}" if job.pid else f", last exit {job.last_exit}"
    return f"{job.state}{process}, {job.runs} runs"


def start(remotes: Sequence[Remote]) -> bool:
    """Start the services now, without a new login."""
    return all([_start(remote) for remote in remotes])


def _start(remote: Remote) -> bool:
    if not remote.mac.console:
        words = f"{remote.mac.user} is not logged in at the console, where LaunchAgents live"
        return remote.say(False, [words])
    jobs = {name: _loaded(remote, name) for name in JOBS}
    pids = {job.pid for job in jobs.values() if job}
    settings = remote.settings
    ports = [settings.llama_swap_port, settings.proxy_port]
    listeners = remote.host.get_fact(Listeners, ports=ports)
    others = {
        port: who
        for port, who in listeners.items()
        if not any(pid in pids or p.parent in pids for pid, p in who.processes.items())
    }
    in_terminal = settings.launchd_autostart == "terminal"
    if others:
        ours = all(who.belongs_to(remote.layout.root) for who in others.values())
        if ours and in_terminal and len(others) == 2:
            return remote.say(True, [], success="the stack runs in a Terminal window")
        fix = "`stop` ends it" if ours else "stop that first"
        return remote.say(False, [f"port {p} is held by {w}; {fix}" for p, w in others.items()])
    if in_terminal:
        return _open_window(remote, loaded=jobs[LLAMA_SWAP] is not None)
    return all([_start_job(remote, name, loaded=job is not None) for name, job in jobs.items()])


def _start_job(remote: Remote, name: str, *, loaded: bool) -> bool:
    domain, label = f"gui/{remote.mac.uid}", remote.layout.label(name)
    if not loaded and not remote.say(
        *remote.run(script("job-load", domain, label, remote.layout.plist(name)))
    ):
        return False
    command = script("job-start", f"{domain}/{label}", remote.layout.log(name))
    return remote.say(*remote.run(command), success=f"{name} runs")


def _open_window(remote: Remote, *, loaded: bool) -> bool:
    """By the job of the login, which opens the window as soon as it is loaded."""
    domain, label = f"gui/{remote.mac.uid}", remote.layout.label(LLAMA_SWAP)
    command = (
        StringCommand("launchctl kickstart", QuoteString(f"{domain}/{label}"))
        if loaded
        else script("job-load", domain, label, remote.layout.plist(LLAMA_SWAP))
    )
    return remote.say(*remote.run(command), success="the stack opens in a Terminal window")


def _loaded(remote: Remote, name: str) -> Job | None:
    label = remote.layout.label(name)
    job: Job | None = remote.host.get_fact(Loaded, uid=remote.mac.uid, label=label)
    return job


def stop(remotes: Sequence[Remote]) -> bool:
    """Stop the services until the next start, login or deploy; a hand-run stack, too."""
    done = True
    for remote in remotes:
        settings = remote.settings
        for name in JOBS:
            target = f"gui/{remote.mac.uid}/{remote.layout.label(name)}"
            ok, lines = remote.run(script("job-unload", target, 60))
            done &= remote.say(ok, lines, success=f"{name} is stopped")
        # A llama-server outlives a llama-swap that was killed, and keeps its port.
        ports = [settings.proxy_port, settings.llama_swap_port, *settings.llama_server_ports]
        listeners = remote.host.get_fact(Listeners, ports=ports)
        pids = {
            pid
            for listener in listeners.values()
            if listener.belongs_to(remote.layout.root)
            for pid in listener.processes
        }
        if pids:
            ok, lines = remote.run(script("stop-processes", *sorted(pids)))
            done &= remote.say(ok, lines, success="what ran outside launchd is stopped")
    return done


def restart(remotes: Sequence[Remote]) -> bool:
    """Restart the services' processes."""
    return stop(remotes) and start(remotes)


def unload(remotes: Sequence[Remote], model: str | None) -> bool:
    """Unload one model, or all, from memory."""
    done = True
    for remote in remotes:
        port, key = remote.settings.llama_swap_port, remote.layout.swap_key
        path = f"/{quote(model)}" if model else ""
        ok, lines = remote.run(script("unload", port, key, path))
        what = model or "every model"
        if not ok:
            lines = [f"{what} is not unloaded: {' '.join(lines)}"]
        done &= remote.say(ok, lines, success=f"{what} is unloaded")
    return done


def logs(remotes: Sequence[Remote], job: str | None, lines: int, follow: bool) -> bool:
    """The last lines of the logs."""
    if follow and len(remotes) > 1:
        only(remotes)
    done = True
    for remote in remotes:
        files = [QuoteString(remote.layout.log(name)) for name in JOBS if job in (None, name)]
        flag = "-F" if follow else ""
        done &= remote.follow(StringCommand("tail", "-n", str(lines), flag, *files))
    return done
