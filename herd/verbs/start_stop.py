"""`make start`, `stop`, `restart`: the services, without a new login."""

from collections.abc import Iterator, Sequence

from pyinfra.api import QuoteString, StringCommand

from herd.connections.remote import Remote, ask, each
from herd.core.mac.job_definitions import JOBS, LLAMA_SWAP
from herd.facts.gathered import Question
from herd.facts.listeners import Listeners
from herd.facts.script import script
from herd.verbs.status import job_of, jobs_ask


def start(remotes: Sequence[Remote]) -> bool:
    """Start the services now, without a new login."""
    ask(remotes, _start_asks)
    return each(remotes, _start)


def _start_asks(remote: Remote) -> Iterator[Question]:
    yield from jobs_ask(remote)
    settings = remote.settings
    yield Question(Listeners, ports=[settings.llama_swap_port, settings.proxy_port])


def _start(remote: Remote) -> bool:
    if not remote.mac.console:
        words = f"{remote.mac.user} is not logged in at the console, where LaunchAgents live"
        return remote.say(False, [words])
    jobs = {name: job_of(remote, name) for name in JOBS}
    pids = {job.pid for job in jobs.values() if job}
    settings = remote.settings
    ports = [settings.llama_swap_port, settings.proxy_port]
    listeners = remote.ask(Listeners, ports=ports)
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


def stop(remotes: Sequence[Remote]) -> bool:
    """Stop the services until the next start, login or deploy; a hand-run stack, too."""
    return each(remotes, _stop)


def _stop(remote: Remote) -> bool:
    done, settings = True, remote.settings
    for name in JOBS:
        target = f"gui/{remote.mac.uid}/{remote.layout.label(name)}"
        ok, lines = remote.run(script("job-unload", target, 60))
        done &= remote.say(ok, lines, success=f"{name} is stopped")
    # A llama-server outlives a llama-swap that was killed, and keeps its port.
    ports = [settings.proxy_port, settings.llama_swap_port, *settings.llama_server_ports]
    listeners = remote.ask(Listeners, ports=ports)
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
    """Restart the services' processes, of those that can be stopped."""
    stopped: list[Remote] = []

    def stop_one(remote: Remote) -> bool:
        done = _stop(remote)
        stopped.extend([remote] if done else [])
        return done

    done = each(remotes, stop_one)
    return start(stopped) and done
