"""Who listens where: llama-swap and llama-server ask nobody for a key, so only on loopback."""

import re
import socket
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from herd.core.mac.job_definitions import listens_on
from herd.core.settings.problems import Problem
from herd.facts.listeners import Listeners
from herd.workstation.typed_commands import command
from tests.infra.mac import Mac
from tests.infra.report import refuse

# lsof's line: COMMAND PID USER … TCP 127.0.0.1:8080 (LISTEN), or *:3000, or [::1]:3000.
_LINE = re.compile(r"^\S+ +(\d+) .* TCP (\S+):(\d+) \(LISTEN\)$")
# ps: PID PPID COMMAND LINE
_PROCESS = re.compile(r" *(\d+) +(\d+) +(.*)")


@dataclass(frozen=True)
class Socket:
    """A listening socket of the user's: "*" is every address."""

    pid: int
    address: str
    port: int


def sockets(mac: Mac) -> list[Socket]:
    """All that the Mac's user listens on; other users' are seen by root only."""
    lines = mac.host.run("lsof -nP -iTCP -sTCP:LISTEN 2>/dev/null").stdout.splitlines()
    matches = filter(None, map(_LINE.match, lines))
    return [Socket(int(m[1]), m[2].strip("[]"), int(m[3])) for m in matches]


def asks(mac: Mac) -> None:
    """But for `sockets`, as a model's is open only once a completion has loaded it."""
    ports = listens_on(mac.settings)
    mac.ask(Listeners, ports=[ports[name] for name in mac.jobs])


def test_ports_are_bound_to_their_addresses_only(
    running: Mac, found: Callable[[str], None]
) -> None:
    mac, settings = running, running.settings
    everywhere = settings.proxy_host in {"0.0.0.0", "::"}
    public = dict.fromkeys(
        ("proxy_port", "gateway_port", "proxy_agent_port"),
        "*" if everywhere else settings.proxy_host,
    )
    wanted = {
        port: (setting, public.get(setting, "127.0.0.1"))
        for port, setting in mac.layout.ports.items()
    }
    bound = defaultdict(set)
    for each in sockets(mac):
        if each.port in wanted:
            bound[each.port].add(each.address)
    problems = []
    for port, (setting, address) in wanted.items():
        # A model's port is open only while it is loaded.
        if bound[port] != {address} and (bound[port] or setting != "llama_server_start_port"):
            shown = ", ".join(sorted(bound[port])) or "no address"
            what = f"It is bound to {shown}, not to {address}."
            fix = f"`{command('restart', LIMIT=mac.name)}`; if that changes nothing, deploy again."
            problems.append(Problem(f"{mac.name}: port {port} ({setting})", what, fix))
    refuse(problems)
    found(", ".join(f"{address}:{port}" for port in bound for address in bound[port]))


def test_ports_are_held_by_their_jobs(running: Mac) -> None:
    mac, settings = running, running.settings
    ports = {listens_on(settings)[name]: name for name in mac.jobs}
    in_launchd = settings.launchd_autostart == "background"
    listeners = mac.ask(Listeners, ports=list(ports))
    problems = []
    for port, name in ports.items():
        where = f"{mac.name}: port {port} ({name})"
        if (holder := listeners.get(port)) is None:
            how = command("logs", LIMIT=mac.name, ARGS=name)
            fix = f"`{how}` says why; `{command('start')}` starts it."
            problems.append(Problem(where, "Nobody listens there.", fix))
            continue
        job = mac.loaded(name) if in_launchd else None
        pid = job.pid if job else None
        ours = any(pid in (own, process.parent) for own, process in holder.processes.items())
        if not (ours if in_launchd else holder.belongs_to(mac.layout.root)):
            what = f"It is held by {holder}, which is not the job."
            problems.append(Problem(where, what, "stop that, then deploy again."))
    refuse(problems)


def test_nothing_else_of_the_stack_listens(mac: Mac) -> None:
    """A llama-server outlives a llama-swap that was killed, with its memory and its port."""
    settings = mac.settings
    wanted = set(mac.layout.ports)
    open_sockets = sockets(mac)
    pids = ",".join(str(each.pid) for each in open_sockets)
    lines = mac.host.run("ps -ww -o pid=,ppid=,args= -p %s", pids or "0").stdout.splitlines()
    matches = filter(None, map(_PROCESS.fullmatch, lines))
    processes = {int(m[1]): (int(m[2]), m[3]) for m in matches}
    swaps = {each.pid for each in open_sockets if each.port == settings.llama_swap_port}
    problems = []
    for each in open_sockets:
        parent, command = processes.get(each.pid, (0, ""))
        if f"{mac.layout.root}/" not in command:
            continue
        orphan = each.port in settings.llama_server_ports and parent not in swaps
        if each.port not in wanted or orphan:
            what = f"pid {each.pid} listens there, and no llama-swap started it: {command[:200]}"
            fix = f"`kill {each.pid}` there, or deploy again."
            problems.append(Problem(f"{mac.name}: port {each.port}", what, fix))
    refuse(problems)


def test_llama_swap_cannot_be_reached_from_here(running: Mac) -> None:
    mac = running
    if mac.is_here:
        pytest.skip(f"{mac.remote.address} is this machine: nothing here is outside of it")
    closed = {"llama_swap_port", "llama_server_start_port", "gateway_haproxy_port"}
    ports = {port: setting for port, setting in mac.layout.ports.items() if setting in closed}
    refuse(
        [
            Problem(
                f"{mac.name}: port {port} ({setting})",
                f"{mac.remote.address}:{port} answers from here, and asks for no key.",
                f"`{command('restart', LIMIT=mac.name)}`; look for what forwards that port.",
            )
            for port, setting in ports.items()
            if is_open(mac.remote.address, port)
        ]
    )


def is_open(address: str, port: int) -> bool:
    """Whether a connection is accepted within 3 seconds."""
    try:
        socket.create_connection((address, port), timeout=3).close()
    except OSError:
        return False
    return True
