"""The jobs and their ports: what does not run, what falls over, who else listens."""

from collections.abc import Iterator

from herd.core.mac.job_definitions import GATEWAY, LLAMA_SWAP, jobs_of, listens_on
from herd.core.mac.launchd import Job
from herd.diagnosis.finding import START, UNQUARANTINE, Finding, Patient
from herd.facts.listeners import foreign

_MANY = 5
"""Runs of a job after which its last failure is no accident."""
_CLEAN = ("(never exited)", "0", "Terminated: 15", "Killed: 9")


def down(patient: Patient) -> Iterator[Finding]:
    """Jobs that should run by themselves, and do not."""
    settings = patient.layout.settings
    if settings.launchd_autostart != "background":
        return
    ports = listens_on(settings)
    for name in jobs_of(patient.layout):
        job = patient.jobs.get(name)
        listener = patient.listeners.get(ports[name])
        by_hand = listener is not None and listener.belongs_to(patient.layout.root)
        if kind := patient.elsewhere.get(name):
            yield Finding(
                "other-domain",
                f"{name} runs as {kind}, and is to be the other",
                "deploy again: it ends the one and loads the other",
            )
        elif by_hand and not (job and job.pid):
            yield Finding(
                "outside-launchd",
                f"{name} runs by hand (pid {min(listener.processes)})" if listener else "",
                "deploy again: it stops that, and launchd runs it",
            )
        elif job is None and not (patient.layout.is_daemon or patient.mac.console):
            yield Finding(  # nor could `make start`
                "service-not-loaded",
                f"launchd has not loaded {name}, as nobody is logged in at the Mac's screen",
                "log in there: it starts with that",
            )
        elif job is None:
            yield Finding(
                "service-not-loaded",
                f"launchd has not loaded {name}",
                "`make start`, or deploy again",
                START,
            )
        elif job.pid is None:
            yield Finding(
                "service-down",
                f"{name}: {job.state}, last exit {job.last_exit}",
                "`make start`, and `make logs` for why it ended",
                START,
            )


def crash_loops(patient: Patient) -> Iterator[Finding]:
    """Jobs that launchd starts again and again, with what macOS says of their end."""
    for name, job in patient.jobs.items():
        if job and job.runs >= _MANY and not _is_clean(job):
            reports = [r for r in patient.symptoms.reports if _is_of(r, name)]
            newest = f"; the newest report is {max(reports)}" if reports else ""
            yield Finding(
                "crash-loop",
                f"{name} was started {job.runs} times; its last exit: {job.last_exit}"
                f"{f' ({job.reason})' if job.reason else ''}{newest}",
                _why(job) or f"`make logs ARGS={name}` has its last words",
            )
        elif job and _why(job):
            yield Finding("killed", f"{name}: {job.reason}", _why(job))


def _is_clean(job: Job) -> bool:
    return not job.reason and (job.last_exit in (None, *_CLEAN) or job.last_exit.startswith("0"))


def _is_of(report: str, name: str) -> bool:
    file = report.rpartition("/")[2].lower()
    return file.startswith({LLAMA_SWAP: "llama", GATEWAY: "haproxy"}.get(name, "python"))


def _why(job: Job) -> str:
    """What to do about the reason that the kernel gave."""
    for words, fix in (
        ("CODESIGNING", "reinstall the program: a running one was overwritten in place"),
        ("DYLD", "`brew reinstall ggml llama.cpp` on the Mac: a library of it is missing"),
        (
            "JETSAM",
            "lower ctx_size, or serve a smaller model: macOS ended it for its memory",
        ),
        ("TCC", "allow it under Privacy & Security at the Mac's screen"),
    ):
        if words in job.reason:
            return fix
    return ""


def strangers(patient: Patient) -> Iterator[Finding]:
    """Who holds a port of the stack without belonging to it."""
    pids = [job.pid for job in patient.jobs.values() if job and job.pid]
    for port, who in sorted(foreign(patient.listeners, patient.layout.root, pids).items()):
        yield Finding(
            "port-in-use",
            f"port {port} is held by {who}",
            f"stop that (`lsof -nP -iTCP:{port} -sTCP:LISTEN` on the Mac), or choose another",
        )


def orphans(patient: Patient) -> Iterator[Finding]:
    """They serve nobody, and keep their memory."""
    for pid in patient.symptoms.orphans:
        yield Finding(
            "stray-llama-server",
            f"a llama-server of the stack runs (pid {pid}), and no llama-swap has it",
            f"`kill {pid}` on the Mac frees its memory",
        )


def quarantined(patient: Patient) -> Iterator[Finding]:
    """Property lists that macOS 27 ignores without a word."""
    for path in patient.symptoms.quarantined:
        yield Finding(
            "quarantined",
            f"{path} has com.apple.quarantine, and launchd of macOS 27 ignores it",
            f"`xattr -d com.apple.quarantine '{path}'` on the Mac, then `make start`",
            UNQUARANTINE,
        )


RULES = (down, crash_loops, strangers, orphans, quarantined)
