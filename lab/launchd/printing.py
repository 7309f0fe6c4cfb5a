"""What launchctl shows: `print`, `print-disabled`, `list` and `list LABEL`, tabs and all."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from typing import Any

from lab.launchd.jobs import EX_CONFIG, SYSTEM, Job, Launchd

# strsignal(3) of macOS, as in `last terminating signal = Terminated: 15`
SIGNALS = {
    signal.SIGHUP: "Hangup",
    signal.SIGINT: "Interrupt",
    signal.SIGQUIT: "Quit",
    signal.SIGILL: "Illegal instruction",
    signal.SIGTRAP: "Trace/BPT trap",
    signal.SIGABRT: "Abort trap",
    signal.SIGFPE: "Floating point exception",
    signal.SIGKILL: "Killed",
    signal.SIGBUS: "Bus error",
    signal.SIGSEGV: "Segmentation fault",
    signal.SIGPIPE: "Broken pipe",
    signal.SIGTERM: "Terminated",
}
# Darwin numbers the few signals differently that Linux does not share.
DARWIN = {"SIGBUS": 10, "SIGSYS": 12, "SIGUSR1": 30, "SIGUSR2": 31}

SPAWN_TYPES = {"Interactive": "interactive (4)", "Background": "background (2)"}


def service(job: Job) -> str:
    """`launchctl print DOMAIN/LABEL`, laid out as captured on macOS 26 in mattstack's VM plan."""
    lines = [
        f"{job.domain}/{job.label} = {{",
        f"\tactive count = {1 if job.pid else 0}",
        f"\tpath = {job.machine.outside(str(job.path))}",
        f"\ttype = {'LaunchDaemon' if job.domain == SYSTEM else 'LaunchAgent'}",
        f"\tstate = {job.state}",
        "",
        f"\tprogram = {job.program}",
        *_block("arguments", job.arguments),
        "",
    ]
    if folder := job.definition.get("WorkingDirectory"):
        lines += [f"\tworking directory = {folder}", ""]
    for key, words in (("StandardOutPath", "stdout path"), ("StandardErrorPath", "stderr path")):
        if path := job.definition.get(key):
            lines.append(f"\t{words} = {path}")
    environment = job.environment | {"OSLogRateLimit": "64", "XPC_SERVICE_NAME": job.label}
    lines += [
        *_block(
            "inherited environment",
            ["SSH_AUTH_SOCK => /var/run/com.apple.launchd.TzpwIuqAEF/Listeners"],
        ),
        "",
        *_block("default environment", ["PATH => /usr/bin:/bin:/usr/sbin:/sbin"]),
        "",
        *_block("environment", [f"{k} => {v}" for k, v in sorted(environment.items())]),
        "",
        *_where(job),
        f"\tminimum runtime = {job.throttle:g}",
        f"\texit timeout = {job.exit_timeout:g}",
        f"\truns = {job.runs}",
        *_process(job),
        _last(job),
        "",
        *_coalition(job, "resource", 1622),
        *_coalition(job, "jetsam", 1623),
        f"\tspawn type = {SPAWN_TYPES.get(job.definition.get('ProcessType', ''), 'daemon (3)')}",
        "\tjetsam priority = 40",
        "\tjetsam memory limit (active) = (unlimited)",
        "\tjetsam memory limit (inactive) = (unlimited)",
        "\tjetsamproperties category = daemon",
        "\tjetsam thread limit = 32",
        "\tcpumon = default",
        "",
        f"\tproperties = {' | '.join(_properties(job))}",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _where(job: Job) -> list[str]:
    if job.domain == SYSTEM:
        named = [f"\tusername = {job.user}"] if "UserName" in job.definition else []
        return [f"\tdomain = {SYSTEM}", *named]
    return [f"\tdomain = {job.domain} [{job.asid}]", f"\tasid = {job.asid}"]


def _block(name: str, rows: Iterable[str]) -> list[str]:
    return [f"\t{name} = {{", *(f"\t\t{row}" for row in rows), "\t}"]


def _process(job: Job) -> list[str]:
    """The lines only a running service has."""
    if job.pid is None:
        return []
    return [
        f"\tpid = {job.pid}",
        f"\timmediate reason = {'speculative' if job.runs == 1 else 'inefficient'}",
        "\tforks = 0",
        "\texecs = 1",
        "\tinitialized = 1",
        "\ttrampolined = 1",
        "\tstarted suspended = 0",
        "\tproxy started suspended = 0",
        "\tchecked allocations = 0 (queried = 1)",
        "\tchecked allocations reason = no host",
        "\tchecked allocations flags = 0x0",
    ]


def _last(job: Job) -> str:
    if job.last_signal is not None:
        number = _darwin(job.last_signal)
        name = SIGNALS.get(signal.Signals(job.last_signal), "Unknown signal")
        return f"\tlast terminating signal = {name}: {number}"
    if job.last_exit is None:
        return "\tlast exit code = (never exited)"
    suffix = ": EX_CONFIG" if job.last_exit == EX_CONFIG else ""
    return f"\tlast exit code = {job.last_exit}{suffix}"


def _darwin(number: int) -> int:
    return DARWIN.get(signal.Signals(number).name, number)


def _coalition(job: Job, kind: str, number: int) -> list[str]:
    active = 1 if job.pid else 0
    rows = [
        f"ID = {number}",
        f"type = {kind}",
        f"state = {'active' if active else 'terminated'}",
        f"active count = {active}",
        f"name = {job.label}",
    ]
    return [*_block(f"{kind} coalition", rows), ""]


def _properties(job: Job) -> list[str]:
    words = [
        ("keepalive", job.definition.get("KeepAlive") is True),
        ("runatload", bool(job.definition.get("RunAtLoad"))),
        ("inferred program", "Program" not in job.definition),
    ]
    return [word for word, holds in words if holds] + ["managed LWCR", "has LWCR"]


def domain(launchd: Launchd, name: str) -> str:
    """`launchctl print DOMAIN`: only its frame and its services; the real one is far longer."""
    jobs = launchd.domains.get(name, {})
    kind = {"gui": "login", "user": "user"}.get(name.partition("/")[0], "system")
    rows = [f"{job.pid or 0:>8} {_status(job) or '-':>6} \t{job.label}" for job in jobs.values()]
    lines = [
        f"{name} = {{",
        f"\ttype = {kind}",
        f"\thandle = {launchd.asid}",
        f"\tactive count = {sum(1 for job in jobs.values() if job.pid)}",
        "",
        *_block("services", rows),
        "}",
    ]
    return "\n".join(lines) + "\n"


def disabled(launchd: Launchd, name: str) -> str:
    """`launchctl print-disabled DOMAIN`, as captured on macOS 26.6; true/false up to macOS 13."""
    new = launchd.machine.macos_major >= 14
    words = {True: "disabled" if new else "true", False: "enabled" if new else "false"}
    # A Mac reached by Remote Login has this entry in its system domain.
    remote_login = {"com.openssh.sshd": False} if name == SYSTEM else {}
    overrides = remote_login | launchd.overrides(name)
    rows = [f'"{label}" => {words[off]}' for label, off in sorted(overrides.items())]
    services = (
        _block("disabled services", rows)
        if rows
        else ["\tdisabled services = (no disabled services)"]
    )
    lines = ["", *services, "", *_block("login item associations", [])]
    return "\n".join(lines) + "\n"


def listing(jobs: Iterable[Job]) -> str:
    """`launchctl list`: PID, last exit code or minus signal, label."""
    rows = [f"{job.pid or '-'}\t{_status(job)}\t{job.label}\n" for job in jobs]
    return "PID\tStatus\tLabel\n" + "".join(rows)


def _status(job: Job) -> int:
    return -_darwin(job.last_signal) if job.last_signal is not None else job.last_exit or 0


def legacy(job: Job) -> str:
    """`launchctl list LABEL`: the old property list text, LastExitStatus as wait(2) gave it."""
    definition = job.definition
    raw = _darwin(job.last_signal) if job.last_signal is not None else (job.last_exit or 0) << 8
    keep = definition.get("KeepAlive")
    values: dict[str, Any] = {
        "StandardOutPath": definition.get("StandardOutPath"),
        "LimitLoadToSessionType": definition.get("LimitLoadToSessionType", "Aqua"),
        "StandardErrorPath": definition.get("StandardErrorPath"),
        "Label": job.label,
        "OnDemand": not keep,
        "LastExitStatus": raw,
        "PID": job.pid,
        "Program": job.program,
        "ProgramArguments": job.arguments,
    }
    rows = [_legacy_row(key, value) for key, value in values.items() if value is not None]
    return "{\n" + "".join(rows) + "};\n"


def _legacy_row(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return f'\t"{key}" = {str(value).lower()};\n'
    if isinstance(value, int):
        return f'\t"{key}" = {value};\n'
    if isinstance(value, list):
        return f'\t"{key}" = (\n' + "".join(f'\t\t"{v}";\n' for v in value) + "\t);\n"
    return f'\t"{key}" = "{value}";\n'
