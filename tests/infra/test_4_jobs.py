"""launchd's jobs, by what launchd has loaded."""

from collections.abc import Callable, Iterator

from herd.core.mac.job_definitions import jobs_of
from herd.core.mac.launchd import DIGEST
from herd.core.mac.launchd import Job as Loaded
from herd.core.settings.problems import Problem
from herd.facts.launchd import HowStarted, Installed
from herd.operations import launchd
from herd.workstation.typed_commands import command
from tests.infra.declared import Job
from tests.infra.mac import Mac
from tests.infra.report import refuse

DEPLOY = "deploy again: it loads the declared one."


def asks(mac: Mac) -> None:
    for name in jobs_of(mac.layout):
        mac.loaded(name)
    mac.ask(Installed, **launchd.installed(mac.layout).arguments)


def test_jobs_are_loaded_and_run(mac: Mac, jobs: list[Job], found: Callable[[str], None]) -> None:
    problems, told = [], []
    for job in jobs:
        where, loaded = f"{mac.name}: job {job.label}", mac.loaded(job.name)
        if loaded is None:
            if (
                mac.layout.is_daemon
                or mac.identity.console
                or mac.settings.launchd_autostart != "off"
            ):
                how = command("start", LIMIT=mac.name)
                session = (
                    "" if mac.layout.is_daemon else "; somebody must be logged in at its screen"
                )
                fix = f"`{how}`{session}."
                problems.append(Problem(where, "It is not loaded.", fix))
        elif job.running and loaded.pid is None:
            what = f"It does not run: {loaded.state}, last exit {loaded.last_exit}."
            look, how = (command(verb, LIMIT=mac.name) for verb in ("logs", "restart"))
            fix = f"`{look}` says why; `{how}`."
            problems.append(Problem(where, what, fix))
        else:
            told.append(f"{job.name} {f'pid {loaded.pid}' if loaded.pid else loaded.state}")
    refuse(problems)
    found(", ".join(told))


def test_jobs_have_the_declared_definition(mac: Mac, jobs: list[Job]) -> None:
    problems = []
    for job in jobs:
        loaded = mac.loaded(job.name)
        if loaded and not loaded.runs_definition(job.definition, job.path):
            what = "\n".join(["launchd has loaded another one.", *_differences(job, loaded)])
            problems.append(Problem(f"{mac.name}: job {job.label}", what, DEPLOY))
        if job.launcher and job.running:
            how = mac.ask(HowStarted, plist=job.path, started=job.launcher.started)
            if how.digest != job.launcher.digest:
                what = f"{job.launcher.path} is another one than runs."
                problems.append(Problem(f"{mac.name}: job {job.label}", what, DEPLOY))
            if how.without_metal:
                what = f"It finds no Metal device where it runs: {how.without_metal}."
                fix = "set launchd_domain = 'agent', and log in at the Mac's screen."
                problems.append(Problem(f"{mac.name}: job {job.label}", what, fix))
    refuse(problems)


def _differences(job: Job, loaded: Loaded) -> Iterator[str]:
    """Each thing that differs, as launchd has it and as it was declared."""
    if loaded.path != job.path:
        yield f"from {loaded.path}, not {job.path}"
    if (wanted := tuple(job.definition["ProgramArguments"])) != loaded.arguments:
        yield f"it runs  {' '.join(loaded.arguments)}"
        yield f"not      {' '.join(wanted)}"
    environment = job.definition["EnvironmentVariables"]
    differing = [name for name in environment if loaded.environment.get(name) != environment[name]]
    for name in differing:
        if name != DIGEST:
            yield f"{name} is {loaded.environment.get(name)}, not {environment[name]}"
    if differing == [DIGEST]:
        yield "what it depends on has changed since, as a package's version"


def test_there_is_no_other_job_of_this_stack(mac: Mac, jobs: list[Job]) -> None:
    kind = mac.layout.domain(mac.identity.uid).kind
    wanted = {(kind, job.label) for job in jobs}
    refuse(
        [
            Problem(
                f"{mac.name}: job {label}",
                f"Launch{kind}/{label}.plist is of an earlier deploy, and starts by itself.",
                "deploy again: it removes old jobs.",
            )
            for kind, label in mac.ask(Installed, **launchd.installed(mac.layout).arguments)
            if (kind, label) not in wanted
        ]
    )
