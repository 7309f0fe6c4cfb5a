"""What a person does with a herd between deploys; each verb takes the chosen hosts."""

import io
import json
import os
import re
import shlex
import socket
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pyinfra.api import QuoteString, StringCommand

from herd import chat, hub, keys, locks, newkey, plan, tls
from herd.core.bundle import bundle, fetcher
from herd.core.endpoints import local_proxy, public_proxy
from herd.core.fetching import Wanted, job
from herd.core.fit import Limits, Sum, fixes
from herd.core.jobs import JOBS, LLAMA_SWAP, PROXY
from herd.core.launchd import Job
from herd.core.lock import Lock
from herd.core.problems import report
from herd.core.secrets import key_options
from herd.core.settings import Model, Settings
from herd.core.transfers import ASKED, Resolved
from herd.core.units import GIB, gib
from herd.facts.answers import Answers
from herd.facts.launchd import Loaded
from herd.facts.listeners import Listeners
from herd.facts.programs import Linked
from herd.facts.proxy import Releases
from herd.facts.script import script
from herd.keys import Held
from herd.operations.models import fetch_command
from herd.remote import Remote, RemoteError, hosts, read, ssh_command


def status(remotes: Sequence[Remote]) -> bool:
    """Services, models and versions of each host; whether all serve."""
    return all([_status(remote) for remote in remotes])


def _status(remote: Remote) -> bool:
    settings = remote.settings
    held = _held(settings)
    served = remote.host.get_fact(
        Answers,
        llama_swap_port=settings.llama_swap_port,
        proxy_url=local_proxy(settings),
        proxy_log=remote.layout.log(PROXY),
        _stdin=key_options(held.secret),
    )
    versions = remote.host.get_fact(
        Linked, homebrew_prefix=settings.homebrew_prefix, programs=["llama-server", "llama-swap"]
    )
    print(f"{remote.host.name}  {public_proxy(settings, remote.address)}/v1")
    for name in JOBS:
        print(f"  {name:<12}{_job(_loaded(remote, name))}")
    for model in settings.models:
        print(f"  {model:<12}{served.states.get(model, 'not loaded')}")
    print(f"  {'versions':<12}{', '.join(f'{n} {v}' for n, v in versions.items()) or 'none'}")
    wrong = served.complaint(settings.models, [])
    untried = "" if held.secret else f" (not tried with a key: {held.lacking})"
    print(f"  {'serves':<12}{wrong or f'yes{untried}'}")
    return wrong is None


def _held(settings: Settings) -> Held:
    """The key of whoever is here; a workstation without any may look, too."""
    try:
        return keys.shipped(settings).held()
    except ValueError as error:
        return Held(lacking=str(error))


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
        return _say(remote, False, [words])
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
            return _say(remote, True, [], success="the stack runs in a Terminal window")
        fix = "`stop` ends it" if ours else "stop that first"
        return _say(remote, False, [f"port {p} is held by {w}; {fix}" for p, w in others.items()])
    if in_terminal:
        return _open_window(remote, loaded=jobs[LLAMA_SWAP] is not None)
    return all([_start_job(remote, name, loaded=job is not None) for name, job in jobs.items()])


def _start_job(remote: Remote, name: str, *, loaded: bool) -> bool:
    domain, label = f"gui/{remote.mac.uid}", remote.layout.label(name)
    if not loaded and not _say(
        remote, *remote.run(script("job-load", domain, label, remote.layout.plist(name)))
    ):
        return False
    command = script("job-start", f"{domain}/{label}", remote.layout.log(name))
    return _say(remote, *remote.run(command), success=f"{name} runs")


def _open_window(remote: Remote, *, loaded: bool) -> bool:
    """By the job of the login, which opens the window as soon as it is loaded."""
    domain, label = f"gui/{remote.mac.uid}", remote.layout.label(LLAMA_SWAP)
    command = (
        StringCommand("launchctl kickstart", QuoteString(f"{domain}/{label}"))
        if loaded
        else script("job-load", domain, label, remote.layout.plist(LLAMA_SWAP))
    )
    return _say(remote, *remote.run(command), success="the stack opens in a Terminal window")


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
            done &= _say(remote, ok, lines, success=f"{name} is stopped")
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
            done &= _say(remote, ok, lines, success="what ran outside launchd is stopped")
    return done


def restart(remotes: Sequence[Remote]) -> bool:
    """Restart the services' processes."""
    return stop(remotes) and start(remotes)


def unload(remotes: Sequence[Remote], model: str | None) -> bool:
    """Unload one model, or all, from memory."""
    done = True
    for remote in remotes:
        url = f"http://127.0.0.1:{remote.settings.llama_swap_port}/api/models/unload"
        url = f"{url}/{quote(model)}" if model else url
        ok, lines = remote.run(
            StringCommand("curl -sS --fail-with-body --max-time 120 -X POST", QuoteString(url))
        )
        what = model or "every model"
        if not ok:
            lines = [f"{what} is not unloaded: {' '.join(lines)}"]
        done &= _say(remote, ok, lines, success=f"{what} is unloaded")
    return done


def logs(remotes: Sequence[Remote], job: str | None, lines: int, follow: bool) -> bool:
    """The last lines of the logs."""
    if follow and len(remotes) > 1:
        _only(remotes)
    done = True
    for remote in remotes:
        files = [QuoteString(remote.layout.log(name)) for name in JOBS if job in (None, name)]
        flag = "-F" if follow else ""
        done &= remote.follow(StringCommand("tail", "-n", str(lines), flag, *files))
    return done


def fetch(remotes: Sequence[Remote], repo: str, include: Sequence[str], revision: str) -> bool:
    """Fetch a model's files without declaring it; says what to declare to serve it."""
    defaults = next(iter(remotes[0].settings.models.values()))
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise RemoteError(f"{repo!r} is no repository: write OWNER/NAME, as the Hub has it")
    wanted = {
        "name": repo.rpartition("/")[2].removesuffix("-GGUF"),
        "repo": repo,
        "revision": revision,
        "include": list(include),
    }
    try:
        model = Model.model_validate({**defaults.model_dump(), **wanted})
        resolved = hub.resolve(model).resolved(hub.endpoint())
    except ValueError as error:
        raise RemoteError(str(error)) from None
    done = all([_fetch(remote, [resolved], origin=ASKED) for remote in remotes])
    print("To serve it, add to `models` in group_data/all.py, and deploy:")
    print(f'    "{model.name}": {{"repo": "{repo}", "include": {list(include)}}},')
    return done


def lock(inventory: str, names: Sequence[str]) -> None:
    """Have models.lock beside the inventory say what the declared models are on the Hub now."""
    state, _ = hosts(inventory, [])
    settings = plan.settings_of(state.inventory)
    declared = {host: list(wanted.models.values()) for host, wanted in settings.items()}
    try:
        locks.make(locks.beside(inventory), declared, names, lambda line: print(line, flush=True))
    except ValueError as error:
        raise RemoteError(str(error)) from None


def fit(remotes: Sequence[Remote], inventory: str) -> bool:
    """What the models of each host take of its memory, term by term; whether all fits."""
    held = _lock_of(inventory)
    done = True
    for remote in remotes:
        mac, settings = remote.mac, remote.settings
        limits = Limits.of(
            mac.memory,
            mac.macos,
            wired_limit=mac.wired_limit,
            gpu_memory=mac.gpu_memory,
            reserve=settings.preflight_memory_reserve_gb * GIB,
        )
        fits, lines = _fit(settings, limits, held, inventory)
        macos = ".".join(map(str, mac.macos))
        print("\n".join([f"{remote.host.name}: {gib(mac.memory)}, macOS {macos}", *lines]))
        done &= fits
    return done


def fit_in(memory: int, macos: int, inventory: str, limits: Sequence[str]) -> bool:
    """The same for a Mac with `memory` GB that nobody has yet: the models of each host, or those
    of group_data/all.py while there is no host."""
    state = read(inventory)
    if limits or len(state.inventory):
        state, chosen = hosts(inventory, limits)
        every = plan.settings_of(state.inventory)
        wanted = {host.name: every[host.name] for host in chosen}
    else:
        wanted = {"group_data/all.py": plan.settings_of_all(state.inventory)}
    held = _lock_of(inventory)
    done, said = True, dict[str, list[str]]()
    for name, settings in wanted.items():
        reserve = settings.preflight_memory_reserve_gb * GIB
        has = Limits.of(memory * GIB, (macos,), reserve=reserve)
        fits, lines = _fit(settings, has, held, inventory)
        said.setdefault("\n".join(lines), []).append(name)
        done &= fits
    for text, names in said.items():
        print(f"{', '.join(names)} on a Mac with {memory} GB and macOS {macos}\n{text}")
    return done


def _lock_of(inventory: str) -> Lock:
    path = locks.beside(inventory)
    try:
        return locks.read(path)
    except ValueError as error:
        raise RemoteError(f"{path} {error}") from None


def _fit(settings: Settings, limits: Limits, held: Lock, inventory: str) -> tuple[bool, list[str]]:
    models, lines = [], []
    for model in settings.models.values():
        try:
            found, locked = locks.look(held, model)
        except ValueError as error:
            raise RemoteError(str(error)) from None
        models.append(found.resolved(hub.endpoint()))
        if not locked:
            lines.append(f"  {model.name} is not locked: this is how it is on the Hub now")
    sets, problems = plan.sets_of("", settings, models, inventory)
    if problems:
        raise RemoteError(report("models.lock is of no use.", problems))
    unknown = {model.name for model in models} - {m.name for each in sets for m in each}
    lines += [f"  {name}: models.lock has no facts of its header" for name in sorted(unknown)]
    done = not unknown
    for each in sets:
        total = Sum(each, limits)
        try:
            lines += [f"  {total.name} {total.verdict}", *(f"    {row}" for row in total.lines())]
            ways = [] if total.fits else fixes(total)
        except ValueError as error:
            lines.append(f"  {total.name}: {error}")
            done = False
            continue
        done &= total.fits
        if ways:
            lines += ["    Any of these makes it fit:", *(f"    - {way}" for way in ways)]
    return done, lines


def _fetch(remote: Remote, models: Sequence[Resolved], **options: Any) -> bool:
    layout, packed = remote.layout, bundle()
    if (
        layout.proxy_environment(packed)
        not in remote.host.get_fact(Releases, directory=layout.proxy).whole
    ):
        return _say(remote, False, ["it has no Python for that yet: run `make deploy` first"])
    remote.host.put_file(io.BytesIO(fetcher()), layout.fetcher)
    said = job(
        [Wanted(model, model.files) for model in models],
        directory=layout.models,
        connections=remote.settings.models_connections,
        token=hub.token(),
        **options,
    )
    return remote.follow(fetch_command(layout, packed), stdin=said)


def verify_models(remotes: Sequence[Remote], inventory: str) -> bool:
    """Hash every file of every declared model; what is wrong is set aside and fetched again."""
    chosen = [remote.host for remote in remotes]
    settings = {remote.host.name: remote.settings for remote in remotes}
    models = plan.locked_models(chosen, settings, inventory)
    return all([_fetch(remote, models[remote.host.name], again=True) for remote in remotes])


def talk(
    inventory: str, limits: Sequence[str], prompt: str, *, model: str | None, stream: bool
) -> bool:
    """A chat completion from this workstation at each host's endpoint, printed as it comes."""
    state, chosen = hosts(inventory, limits)
    settings = plan.settings_of(state.inventory)
    return all([_talk(h, settings[h.name], prompt, model=model, stream=stream) for h in chosen])


def _talk(host: Any, settings: Settings, prompt: str, *, model: str | None, stream: bool) -> bool:
    try:
        held = keys.shipped(settings).held()
    except ValueError as error:
        raise RemoteError(f"{error}: {keys.how_to_mend()}") from None
    try:
        certificate = tls.shown(settings)
    except ValueError as error:
        raise RemoteError(str(error)) from None
    name = model or next(filter(held.may_use, settings.models), None)
    if held.secret is None or name is None:
        why = held.lacking or "this key may use none of its models; choose an alias with --model"
        print(f"[{host.name}] no key to ask with: {why}", file=sys.stderr)
        return False
    url = public_proxy(settings, plan.address(host))
    print(f"[{host.name}] {name} at {url}: ", end="", flush=True)
    try:
        answer = chat.complete(
            url, held.secret, name, prompt, stream=stream, certificate=certificate
        )
        for piece in answer:
            print(piece, end="", flush=True)
        print()
    except chat.ChatError as error:
        print(flush=True)
        print(f"[{host.name}] {error}", file=sys.stderr)
        return False
    return True


def usage(remotes: Sequence[Remote], options: Sequence[str], *, json_wanted: bool) -> bool:
    """What each key used, from the books of each host's proxy."""
    done, books = True, {}
    for remote in remotes:
        command = _usage_command(remote, [*options, *(["--json"] if json_wanted else [])])
        if command is None:
            done &= _say(remote, False, ["there is no proxy: deploy first"])
        elif not json_wanted:
            done &= remote.follow(command)
        else:
            ok, lines = remote.run(command)
            if ok:
                books[remote.host.name] = json.loads("\n".join(lines))
            else:
                done &= _say(remote, False, lines)
    if json_wanted:
        print(json.dumps(books, indent=2))
    return done


def _usage_command(remote: Remote, options: Sequence[str]) -> StringCommand | None:
    """By the release that is there, which need not be ours."""
    layout, ours = remote.layout, bundle()
    whole = sorted(remote.host.get_fact(Releases, directory=layout.proxy).whole)
    found = []
    for wanted, kind in (
        (layout.proxy_release(ours), "release-"),
        (layout.proxy_environment(ours), "env-"),
    ):
        there = [path for path in whole if path.rpartition("/")[2].startswith(kind)]
        if not there:
            return None
        found.append(wanted if wanted in there else there[-1])
    release, environment = found
    return StringCommand(
        *("PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 env", QuoteString(f"PYTHONPATH={release}")),
        *(QuoteString(f"{environment}/bin/python"), "-m proxy usage"),
        *("--db", QuoteString(layout.usage), *map(QuoteString, options)),
    )


def key(inventory: str, options: Namespace) -> None:
    """A fresh key, and its entry where the next deploy finds it."""
    declared = plan.key_lists(read(inventory).inventory) if Path(inventory).exists() else {}
    try:
        print(newkey.make(options, declared))
    except ValueError as error:
        raise RemoteError(str(error)) from None


def foreground(remotes: Sequence[Remote]) -> None:
    """Run the stack of one Mac in this terminal; Ctrl+C stops both services."""
    remote: Remote = _only(remotes)
    command = remote.layout.start_command
    if remote.host.name.startswith("@local"):
        _become([command])
    # A terminal even where there is none here: what hangs up there, when the connection ends.
    _become([*ssh_command(remote.host, "-tt"), shlex.quote(command)])


def dashboard(inventory: str, limits: Sequence[str]) -> None:
    """llama-swap's own pages, through a tunnel: they are on the Mac's loopback only."""
    state, chosen = hosts(inventory, limits)
    host = _only(chosen)
    port = plan.settings_of(state.inventory)[host.name].llama_swap_port
    if host.name.startswith("@local"):
        print(f"http://127.0.0.1:{port}/ui/")
        return
    here = _free_port(port)
    print(f"http://127.0.0.1:{here}/ui/ shows {host.name} until Ctrl+C.")
    options = ("-N", "-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{here}:127.0.0.1:{port}")
    _become(ssh_command(host, *options))


def _free_port(wanted: int) -> int:
    """That port of this workstation, or another if it is taken, as by a stack of its own."""
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise RemoteError("this workstation has no free port")


def _only(chosen: Sequence[Any]) -> Any:
    if len(chosen) > 1:
        raise RemoteError("this works for one host at a time; choose it with --limit")
    return chosen[0]


def _say(remote: Remote, ok: bool, lines: Sequence[str], success: str = "") -> bool:
    text = [success] if ok and success else list(lines)
    for line in text:
        print(f"[{remote.host.name}] {line}", file=sys.stdout if ok else sys.stderr)
    return ok


def _become(command: Sequence[str]) -> None:
    """Become this command, with our terminal."""
    sys.stdout.flush()
    os.execvp(command[0], list(command))
