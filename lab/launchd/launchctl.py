"""launchctl's verbs, texts and exit codes; `jobs` does the work, `printing` the layouts.

Exit codes are launchd's error numbers (launchctl(1), EXIT STATUS).  A caller over SSH lives in
the session type Background, one under a console login in Aqua.
"""

from __future__ import annotations

import os
import plistlib
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from lab.launchd import printing
from lab.launchd.call import ERRORS, USAGE, Call, Caller, Reply, domain_words, missing_service
from lab.launchd.definition import Refused, read_definition, sessions
from lab.launchd.jobs import GUI, SESSIONS, SYSTEM, Job, Launchd
from lab.mac import UID


async def launchctl(launchd: Launchd, argv: list[str], caller: Caller) -> Reply:
    """Run one launchctl command."""
    verbs: dict[str, Callable[[Call], Coroutine[Any, Any, None]]] = {
        "bootstrap": _bootstrap,
        "bootout": _bootout,
        "kickstart": _kickstart,
        "kill": _kill,
        "enable": _enable,
        "disable": _disable,
        "print": _print,
        "print-disabled": _print_disabled,
        "list": _list,
        "start": _start,
        "stop": _stop,
        "load": _load,
        "unload": _unload,
        "remove": _remove,
        "managername": _managername,
        "manageruid": _manageruid,
        "managerpid": _managerpid,
        "error": _error,
        "limit": _limit,
    }
    verb = verbs.get(argv[0]) if argv else None
    if verb is None:
        text = f"Unrecognized subcommand: {argv[0]}\n" if argv else ""
        return Reply(USAGE, err=text + "Usage: launchctl <subcommand> ... | help [subcommand]\n")
    try:
        await verb(Call(launchd, argv[0], argv[1:], caller))
    except Reply as reply:
        return reply
    return Reply()


# -- bootstrap and bootout


async def _bootstrap(call: Call) -> None:
    if len(call.args) < 2:
        raise call.usage("<domain-target> [service-path, service-path2, ...]")
    domain = call.args[0]
    # Nobody at the console: no retry as root is suggested (nix-community/home-manager#4413).
    if call.may_not:
        raise _bootstrap_failed(call, 5)
    if domain not in call.launchd.domains:
        raise _bootstrap_failed(call, 125)
    if domain == GUI and call.launchd.tearing_down:
        raise _bootstrap_failed(call, 124)
    for argument in call.args[1:]:
        path = call.path(argument)
        for file in sorted(path.glob("*.plist")) if path.is_dir() else [path]:
            try:
                _load_one(call.launchd, domain, file)
            except Refused as refused:
                raise _bootstrap_failed(call, refused.number, f"{file}: {refused.text}\n") from None


def _load_one(launchd: Launchd, domain: str, path: Path) -> None:
    """Register a job or raise Refused; the reasons are what root is told."""
    definition = read_definition(path, launchd.machine)
    label = definition["Label"]
    if label in launchd.domains[domain]:  # also while the old instance is still leaving
        raise Refused(37, "service already bootstrapped")
    if launchd.overrides(domain).get(label):
        raise Refused(119, "Service is disabled")
    if SESSIONS[domain] not in sessions(definition, domain == SYSTEM):
        raise Refused(134, "Service cannot load in requested session")
    launchd.add(domain, path, definition)


def _bootstrap_failed(call: Call, number: int, reason: str = "") -> Reply:
    """Users get a plain 5 for every problem of a file; root gets the reason and its number.

    Homebrew/homebrew-services#528, NixOS/nix-installer#530, and many reports with both forms.
    """
    if number in (124, 125):
        return Reply(number, err=f"Bootstrap failed: {number}: {ERRORS[number]}\n")
    if call.caller.root:
        return Reply(number, err=f"{reason}Bootstrap failed: {number}: {ERRORS[number]}\n")
    hint = "Try re-running the command as root for richer errors."
    return Reply(5, err=f"Bootstrap failed: 5: {ERRORS[5]}\n{hint}\n")


async def _bootout(call: Call) -> None:
    synopsis = "[--wait] <domain-target> [service-path, service-path2, ...] | <service-target>"
    wait = "--wait" in call.args
    args = [argument for argument in call.args if argument != "--wait"]
    # --wait came with macOS 26; before, it is a usage error (pingdotgg/t3code#11995).
    if not args or (wait and call.launchd.machine.macos_major < 26):
        raise call.usage(synopsis)
    # facts of day two, 1.3: a user is told so whether it is loaded or not.
    if call.may_not:
        raise Reply(1, err=f"Boot-out failed: 1: {ERRORS[1]}\n")
    parts = args[0].split("/", 1 if args[0].startswith(f"{SYSTEM}/") else 2)
    depth = 1 if parts[0] == SYSTEM else 2
    domain, labels = "/".join(parts[:depth]), parts[depth:]
    if domain not in call.launchd.domains:
        raise Reply(125, err=f"Boot-out failed: 125: {ERRORS[125]}\n")
    for argument in args[1:]:
        try:
            labels.append(plistlib.loads(call.path(argument).read_bytes())["Label"])
        except Exception:  # unreadable or no property list: nothing it could stand for
            raise Reply(5, err=f"Boot-out failed: 5: {ERRORS[5]}\n") from None
    if not labels:
        raise call.usage(synopsis)
    for label in labels:
        job = call.launchd.domains[domain].get(label)
        if job is None:
            raise Reply(3, err=f"Boot-out failed: 3: {ERRORS[3]}\n")
        call.launchd.remove(job)
        if wait:
            await job.gone.wait()


# -- one service


async def _kickstart(call: Call) -> None:
    flags = {flag for argument in call.args[:-1] for flag in argument.lstrip("-")}
    domain, label = call.target("[-kps] <service-target>")
    if domain not in call.launchd.domains:
        raise Reply(125, err=f'Could not kickstart service "{label}": 125: {ERRORS[125]}\n')
    job = call.job(domain, label)
    if call.may_not:
        raise Reply(1, err=f'Could not kickstart service "{label}": 1: {ERRORS[1]}\n')
    if "k" in flags:
        running = job.pid is not None
        job.restart()
        if running:
            await job.ended.wait()
    else:
        job.demand()
    if "p" in flags:  # it has to wait for the spawn to know the answer
        if job.state == "spawn scheduled":
            await job.spawned.wait()
        # A bare number into a pipe, a sentence on a terminal (Procursus kickstart.c).
        raise Reply(out=f"{job.pid or 0}\n")


async def _kill(call: Call) -> None:
    domain, label = call.target("<signal> <service-target>")
    if len(call.args) != 2:
        raise call.usage("<signal> <service-target>")
    job = call.job(domain, label)
    if call.may_not:  # the wording is uncertain
        raise Reply(1, err=f"Could not signal service: 1: {ERRORS[1]}\n")
    name = call.args[0].upper()
    try:
        number = int(name) if name.isdigit() else signal.Signals[f"SIG{name.removeprefix('SIG')}"]
    except KeyError:
        raise call.usage("<signal> <service-target>") from None
    if job.pid is None:
        raise Reply(3, err="No process to signal.\n")
    job.signal(number)


async def _enable(call: Call) -> None:
    _override(call, disabled=False)


async def _disable(call: Call) -> None:
    _override(call, disabled=True)


def _override(call: Call, *, disabled: bool) -> None:
    domain, label = call.target("<service-target>")
    if call.may_not:  # the wording is uncertain
        raise Reply(1, err=f"Could not {call.verb} service: 1: {ERRORS[1]}\n")
    call.launchd.override(label, disabled=disabled, domain=domain)


# -- reading


async def _print(call: Call) -> None:
    if len(call.args) != 1:
        raise call.usage("<domain-target> | <service-target>")
    parts = call.args[0].split("/", 2)
    system = parts[0] == "system"
    domain = "system" if system else "/".join(parts[:2])
    label = "/".join(parts[1:]) if system else "".join(parts[2:])
    if not system and domain not in call.launchd.domains:
        # Both answers have been seen with nobody logged in (one source each).
        if call.launchd.machine.facts["no_gui_print"] == 125:
            raise Reply(125, err=f"Could not print domain: 125: {ERRORS[125]}\n")
        words = domain_words(domain)
        raise Reply(112, err=f"Bad request.\nCould not find domain for {words}\n")
    if not label:
        raise Reply(out=printing.domain(call.launchd, domain))
    job = call.launchd.domains.get(domain, {}).get(label)
    if job is None:
        raise Reply(113, err="Bad request.\n" + missing_service(domain, label))
    raise Reply(out=printing.service(job))


async def _print_disabled(call: Call) -> None:
    if len(call.args) != 1:
        raise call.usage("<domain-target>")
    raise Reply(out=printing.disabled(call.launchd, call.args[0]))


async def _list(call: Call) -> None:
    jobs = call.launchd.domains[call.own_domain]
    if not call.args:
        raise Reply(out=printing.listing(jobs.values()))
    label = call.args[0]
    if label not in jobs:
        raise Reply(113, err=f'Could not find service "{label}" in domain for port\n')
    raise Reply(out=printing.legacy(jobs[label]))


# -- legacy verbs, in the caller's own domain


def _legacy_job(call: Call) -> Job:
    label = call.args[0] if call.args else ""
    job = call.launchd.domains[call.own_domain].get(label)
    if job is None:
        raise Reply(3)  # uncertain on today's macOS: 3 or 113
    return job


async def _start(call: Call) -> None:
    _legacy_job(call).demand()


async def _stop(call: Call) -> None:
    _legacy_job(call).signal(signal.SIGTERM)


async def _remove(call: Call) -> None:
    call.launchd.remove(_legacy_job(call))


async def _load(call: Call) -> None:
    """Prints its failure and exits 0, as the man page says ("only on improper usage")."""
    failed = False
    for argument in call.args:
        if argument.startswith("-"):
            continue
        try:
            path = call.path(argument)
            if "-w" in call.args:
                label = read_definition(path, call.launchd.machine)["Label"]
                call.launchd.override(label, disabled=False, domain=call.own_domain)
            _load_one(call.launchd, call.own_domain, path)
        except Refused:
            failed = True
    if failed:
        raise Reply(0, err=_legacy_failure("Load", "bootstrap"))


async def _unload(call: Call) -> None:
    failed = False
    for argument in call.args:
        if argument.startswith("-"):
            continue
        try:
            label = read_definition(call.path(argument), call.launchd.machine)["Label"]
        except Refused:
            failed = True
            continue
        if "-w" in call.args:
            call.launchd.override(label, disabled=True, domain=call.own_domain)
        job = call.launchd.domains[call.own_domain].get(label)
        if job is None:
            failed = True
        else:
            call.launchd.remove(job)
    if failed:
        raise Reply(0, err=_legacy_failure("Unload", "bootout"))


def _legacy_failure(word: str, verb: str) -> str:
    hint = f"Try running `launchctl {verb}` as root for richer errors."
    return f"{word} failed: 5: {ERRORS[5]}\n{hint}\n"


# -- about the session


async def _managername(call: Call) -> None:
    raise Reply(out=("System" if call.caller.root else call.caller.session) + "\n")


async def _manageruid(call: Call) -> None:
    raise Reply(out=f"{0 if call.caller.root else UID}\n")


async def _managerpid(call: Call) -> None:
    raise Reply(out="1\n")


async def _error(call: Call) -> None:
    if len(call.args) != 1 or not call.args[0].isdigit():
        raise call.usage("[posix|mach|bootstrap] <code>")
    number = int(call.args[0])
    raise Reply(out=f"{number}: {ERRORS.get(number) or os.strerror(number)}\n")


async def _limit(call: Call) -> None:
    raise Reply(out="\tmaxfiles    256            unlimited      \n")
