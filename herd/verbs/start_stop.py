"""`make start`, `stop`, `restart`: the services, without a new login."""

from collections.abc import Iterator, Sequence

from pyinfra.api import QuoteString, StringCommand

from herd.connections.remote import Remote, ask, each
from herd.core.mac.job_definitions import EXIT_TIMEOUT, LLAMA_SWAP, jobs_of, listens_on
from herd.facts.gathered import Question
from herd.facts.listeners import Listeners
from herd.facts.script import script
from herd.operations import job_commands, slots
from herd.verbs.status import job_of, jobs_ask, no_session


def start(remotes: Sequence[Remote], service: str | None = None) -> bool:
    """Start the services, or one of them, now, without a new login."""
    ask(remotes, _start_asks)
    return each(remotes, lambda remote: _start(remote, service))


def _chosen(remote: Remote, service: str | None) -> list[str]:
    return [name for name in jobs_of(remote.layout) if service in (None, name)]


def _ports(remote: Remote, service: str | None) -> list[int]:
    """Where the chosen services listen; a llama-server outlives a llama-swap that was killed, and
    keeps its port."""
    chosen, settings = _chosen(remote, service), remote.settings
    own = [port for name, port in listens_on(settings).items() if name in chosen]
    return [*own, *(settings.llama_server_ports if LLAMA_SWAP in chosen else ())]


def _settled(remote: Remote, service: str | None) -> bool | None:
    """Whether all is done before it began, or cannot be; None where there is something to do."""
    if not _chosen(remote, service):
        return remote.say(True, [], success=f"it has no {service}" if service else "it has none")
    if service is not None and remote.settings.launchd_autostart == "terminal":
        # The end of one is the end of both.
        return remote.say(False, [f"{service} runs with the other in a Terminal window: name none"])
    return None


def _start_asks(remote: Remote) -> Iterator[Question]:
    yield from jobs_ask(remote)
    yield Question(Listeners, ports=list(remote.layout.ports))


def _start(remote: Remote, service: str | None) -> bool:
    if (settled := _settled(remote, service)) is not None:
        return settled
    if not remote.mac.console and not remote.layout.is_daemon:
        words = no_session(remote)
        return remote.say(False, [words])
    jobs = {name: job_of(remote, name) for name in jobs_of(remote.layout)}
    pids = {job.pid for job in jobs.values() if job}
    listeners = remote.ask(Listeners, ports=list(remote.layout.ports))
    wanted = _ports(remote, service)
    others = {
        port: who
        for port, who in listeners.items()
        if port in wanted
        and not any(pid in pids or p.parent in pids for pid, p in who.processes.items())
    }
    in_terminal = remote.settings.launchd_autostart == "terminal"
    if others:
        ours = all(who.belongs_to(remote.layout.root) for who in others.values())
        if ours and in_terminal and len(others) == 2:
            return remote.say(True, [], success="the stack runs in a Terminal window")
        fix = "`stop` ends it" if ours else "stop that first"
        return remote.say(False, [f"port {p} is held by {w}; {fix}" for p, w in others.items()])
    if in_terminal:
        return _open_window(remote, loaded=jobs[LLAMA_SWAP] is not None)
    return all(
        [
            _start_job(remote, name, loaded=jobs[name] is not None)
            for name in _chosen(remote, service)
        ]
    )


def _start_job(remote: Remote, name: str, *, loaded: bool) -> bool:
    domain, label = remote.layout.domain(remote.mac.uid), remote.layout.label(name)
    if not loaded and not remote.say(*remote.run(job_commands.load(domain, label))):
        return False
    command = job_commands.start(domain, label, remote.layout.log(name))
    return remote.say(*remote.run(command), success=f"{name} runs")


def _open_window(remote: Remote, *, loaded: bool) -> bool:
    """By the job of the login, which opens the window as soon as it is loaded."""
    domain, label = remote.layout.domain(remote.mac.uid), remote.layout.label(LLAMA_SWAP)
    command = (
        StringCommand("launchctl kickstart", QuoteString(domain.target(label)))
        if loaded
        else job_commands.load(domain, label)
    )
    return remote.say(*remote.run(command), success="the stack opens in a Terminal window")


def stop(remotes: Sequence[Remote], service: str | None = None) -> bool:
    """Stop the services, or one of them, until the next start, login or deploy; a hand-run stack,
    too."""
    return each(remotes, lambda remote: _stop(remote, service))


def _stop(remote: Remote, service: str | None) -> bool:
    if (settled := _settled(remote, service)) is not None:
        return settled
    done = True
    for name in _chosen(remote, service):
        domain, label = remote.layout.domain(remote.mac.uid), remote.layout.label(name)
        ok, lines = remote.run(job_commands.end(domain, label, EXIT_TIMEOUT[name] + 15))
        done &= remote.say(ok, lines, success=f"{name} is stopped")
    listeners = remote.ask(Listeners, ports=_ports(remote, service))
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


def restart(remotes: Sequence[Remote], service: str | None = None) -> bool:
    """Restart the services' processes, or those of one, where they can be stopped; models that can
    save what they have read of prompts are loaded with it again."""
    stopped: list[Remote] = []

    def stop_one(remote: Remote) -> bool:
        if service in (None, LLAMA_SWAP):
            _slots(remote, slots.save(remote.layout))
        done = _stop(remote, service)
        stopped.extend([remote] if done else [])
        return done

    def restore(remote: Remote) -> bool:
        return _slots(remote, slots.restore(remote.layout))

    done = each(remotes, stop_one)
    done &= start(stopped, service)
    return each(stopped if service in (None, LLAMA_SWAP) else [], restore) and done


def _slots(remote: Remote, commands: Iterator[StringCommand]) -> bool:
    """What is not saved, or not taken again, is read anew: that is no failure."""
    for command in commands:
        _, lines = remote.run(command)
        remote.say(True, lines)
    return True
