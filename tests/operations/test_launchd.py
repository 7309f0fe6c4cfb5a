"""One job is kept loaded with exactly the wanted definition, whatever state it is found in."""

import hashlib
import itertools
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from herd.core.files import templates, written_files
from herd.core.mac import domains, job_definitions, sudo_rules
from herd.core.mac.job_definitions import LLAMA_SWAP
from herd.facts.gathered import Question
from herd.operations import launchd
from herd.operations.commands import Commands, operation
from tests.core.samples import BUNDLE, layout
from tests.operations.harness import Run, run

PLACE = layout()
DEFINITION = job_definitions.definition(
    PLACE, LLAMA_SWAP, bundle=BUNDLE, depends_on={"llama-swap": "250"}
)
OLDER = job_definitions.definition(
    PLACE, LLAMA_SWAP, bundle=BUNDLE, depends_on={"llama-swap": "249"}
)
PATH = PLACE.plist(LLAMA_SWAP)
TEXT = templates.plist(DEFINITION)
AGENTS = domains.agents(501, "/Users/me")
TARGET = "gui/501/com.moonspirit.llama-swap"

UNLOAD = [f"job-unload {TARGET} 105"]
WRITE = [
    f"mkdir -p /Users/me/Library/LaunchAgents && rm -f {PATH}.new"
    f" && (umask 077 && : > {PATH}.new )",
    f"upload {PATH}.new",
    f"chmod 644 {PATH}.new && mv -f {PATH}.new {PATH}",
]
LOAD = [f"job-load gui/501 com.moonspirit.llama-swap {PATH}"]
START = [f"job-start {TARGET} /Users/me/llama-swap/llama-swap.log"]


def _asks(*, definition: dict[str, Any], secret: str | None = None, **_: Any) -> Iterator[Question]:
    yield from launchd.asks(domain=AGENTS, label=definition["Label"], secret=secret)


@operation(asks=_asks)
def keep(**options: Any) -> Commands:
    """The commands of `converge` as an operation, as stack.job wraps them."""
    yield from launchd.converge(domain=AGENTS, **options)


def loaded(definition: dict[str, Any], pid: int | None = 77, path: str = PATH) -> list[str]:
    """What `launchctl print` says of a job with this definition."""
    return [
        f"gui/501/{definition['Label']} = {{",
        f"\tpath = {path}",
        f"\tstate = {'running' if pid else 'not running'}",
        "\targuments = {",
        *(f"\t\t{word}" for word in definition["ProgramArguments"]),
        "\t}",
        "\tenvironment = {",
        *(f"\t\t{k} => {v}" for k, v in definition["EnvironmentVariables"].items()),
        "\t}",
        "\truns = 1",
        *([f"\tpid = {pid}"] if pid else ["\tlast exit code = 1"]),
        "}",
    ]


NOT_LOADED = ["Bad request.", 'Could not find service "x" in domain for user gui: 501']
JOB = {
    "right": loaded(DEFINITION),
    "dead": loaded(DEFINITION, pid=None),
    "old": loaded(OLDER),
    "old and dead": loaded(OLDER, pid=None),
    "from elsewhere": loaded(DEFINITION, path="/Users/me/by-hand.plist"),
    "gone": NOT_LOADED,
}
FILE = {
    "right": f"file 644 {hashlib.sha256(TEXT.encode()).hexdigest()}  -",
    "changed": f"file 644 {'0' * 64}  -",
    "too open": f"file 666 {hashlib.sha256(TEXT.encode()).hexdigest()}  -",
    "linked": "link",
    "missing": "absent",
}


def converge(job: str, file: str) -> Run:
    return run(
        keep,
        definition=DEFINITION,
        running=True,
        answers={"launchctl print": JOB[job], "state": FILE[file]},
    )


# What is sent, in this order: unload, write, load, start.
BACKGROUND = {
    ("right", "right"): [],
    ("right", "changed"): [*WRITE, *START],
    ("dead", "right"): START,
    ("dead", "missing"): [*WRITE, *START],
    ("old", "right"): [*UNLOAD, *LOAD, *START],
    ("old", "changed"): [*UNLOAD, *WRITE, *LOAD, *START],
    ("old and dead", "changed"): [*UNLOAD, *WRITE, *LOAD, *START],
    ("from elsewhere", "right"): [*UNLOAD, *LOAD, *START],
    ("gone", "right"): [*LOAD, *START],
    ("gone", "missing"): [*WRITE, *LOAD, *START],
    ("gone", "too open"): [*WRITE, *LOAD, *START],
    ("gone", "linked"): [*WRITE, *LOAD, *START],
}


@pytest.mark.parametrize(("job", "file"), BACKGROUND)
def test_a_job_in_the_background_is_brought_from_any_state_to_running(job: str, file: str) -> None:
    found = converge(job, file)

    assert found.sent == BACKGROUND[job, file]
    assert found.planned == found.changed == bool(found.sent)
    if any(command.startswith("upload") for command in found.sent):
        assert found.uploads == {f"{PATH}.new": TEXT}


@pytest.mark.parametrize(("job", "file"), [*itertools.product(JOB, FILE)])
def test_from_every_state_the_order_is_unload_write_load_start(job: str, file: str) -> None:
    """An interruption anywhere leaves a job that is not loaded or not right: the next run sees."""
    sent = converge(job, file).sent
    steps = [*UNLOAD, *WRITE, *LOAD, *START]

    assert sent == [step for step in steps if step in sent]
    assert (UNLOAD[0] in sent) == (job in {"old", "old and dead", "from elsewhere"})
    assert (LOAD[0] in sent) == (job not in {"right", "dead"})
    assert (WRITE[1] in sent) == (file != "right")


# -- With autostart off, launchd starts nothing by itself.

OFF_PLACE = layout(launchd_autostart="off")
OFF_DEFINITION = job_definitions.definition(OFF_PLACE, LLAMA_SWAP, bundle=BUNDLE, depends_on={})
OFF_TEXT = templates.plist(OFF_DEFINITION)
OFF_JOB = {
    "right": loaded(OFF_DEFINITION),
    "dead": loaded(OFF_DEFINITION, pid=None),
    "old": loaded(OLDER),
    "old and dead": loaded(OLDER, pid=None),
    "gone": NOT_LOADED,
}
OFF_FILE = {**FILE, "right": f"file 644 {hashlib.sha256(OFF_TEXT.encode()).hexdigest()}  -"}
OFF = {
    ("right", "right"): [],
    ("dead", "right"): [],
    ("dead", "changed"): WRITE,
    # One that somebody started goes on, with the new definition.
    ("old", "changed"): [*UNLOAD, *WRITE, *LOAD, *START],
    ("old and dead", "changed"): [*UNLOAD, *WRITE, *LOAD],
    ("gone", "right"): LOAD,
    ("gone", "missing"): [*WRITE, *LOAD],
}


def off(job: str, file: str, *, console: bool = True) -> Run:
    return run(
        keep,
        definition=OFF_DEFINITION,
        running=False,
        console=console,
        answers={"launchctl print": OFF_JOB[job], "state": OFF_FILE[file]},
    )


@pytest.mark.parametrize(("job", "file"), OFF)
def test_a_job_that_is_off_is_loaded_but_not_started(job: str, file: str) -> None:
    assert off(job, file).sent == OFF[job, file]


@pytest.mark.parametrize(("file", "sent"), [("right", []), ("missing", WRITE), ("changed", WRITE)])
def test_with_nobody_at_the_console_a_job_that_is_off_is_only_written(
    file: str, sent: list[str]
) -> None:
    assert off("gone", file, console=False).sent == sent


def test_the_window_that_replaces_a_running_job_opens_by_itself() -> None:
    """It runs at load; and what opens a window ends at once, so nobody can wait for its process."""
    window = job_definitions.window(PLACE, depends_on={}, start_command="")
    found = run(
        keep,
        definition=window,
        running=False,
        answers={"launchctl print": JOB["old"], "state": FILE["changed"]},
    )

    assert found.sent == [f"job-unload {TARGET} 20", *WRITE, *LOAD]


@pytest.mark.parametrize("step", [*UNLOAD, WRITE[0], WRITE[2], *LOAD, *START])
def test_a_step_that_fails_is_the_last_one(step: str) -> None:
    found = run(
        keep,
        definition=DEFINITION,
        running=True,
        answers={"launchctl print": JOB["old"], "state": FILE["changed"]},
        fails=[step],
    )

    assert found.failed
    assert found.sent[-1] == step


def test_a_job_without_an_exit_timeout_of_its_own_gets_launchds() -> None:
    window = job_definitions.window(PLACE, depends_on={}, start_command="")
    found = run(
        keep,
        definition=window,
        running=False,
        answers={"launchctl print": JOB["old and dead"], "state": "absent"},
    )

    assert found.sent[0] == f"job-unload {TARGET} 20"


# -- A secret that the job reads at its start

SECRET = PLACE.swap_key
MAKE = [f"new-secret {SECRET}"]
KEPT_SECRET = f"file 600 {'a' * 64}  -"


def with_secret(job: str, secret: str, **options: Any) -> Run:
    return run(
        keep,
        definition=DEFINITION,
        secret=SECRET,
        **{"running": True, **options},
        answers={"launchctl print": JOB[job], "state": [FILE["right"], secret]},
    )


def test_a_secret_that_is_there_costs_no_question_and_changes_nothing() -> None:
    found = with_secret("right", KEPT_SECRET)

    assert found.untouched
    assert len(found.asked) == 2


@pytest.mark.parametrize(
    "secret",
    [
        "absent",
        "link",
        "directory 700",
        f"file 644 {'a' * 64}  -",
        f"file 640 {'a' * 64}  -",
        f"file 600 {hashlib.sha256().hexdigest()}  -",
    ],
)
def test_a_missing_or_open_secret_is_made_while_the_job_does_not_run(secret: str) -> None:
    """So a run that is killed leaves no secret, or no job: the next one sees either."""
    assert with_secret("right", secret).sent == [*UNLOAD, *MAKE, *LOAD, *START]
    assert with_secret("gone", secret).sent == [*MAKE, *LOAD, *START]
    assert with_secret("gone", KEPT_SECRET).sent == [*LOAD, *START]


def test_a_secret_is_made_though_nobody_is_logged_in() -> None:
    assert with_secret("gone", "absent", running=False, console=False).sent == MAKE


def test_a_job_that_need_not_run_and_does_runs_with_the_new_secret() -> None:
    by_hand = {**DEFINITION, "RunAtLoad": False}
    found = run(
        keep,
        definition=by_hand,
        secret=SECRET,
        running=False,
        answers={"launchctl print": loaded(by_hand), "state": [FILE["right"], "absent"]},
    )

    assert [command.split()[0] for command in found.sent][-2:] == ["job-load", "job-start"]


# -- Daemons: the property list is root's, what it runs is the user's

DAEMON_PLACE = layout(launchd_domain="daemon")
DAEMON = job_definitions.daemon(DAEMON_PLACE, LLAMA_SWAP)
DAEMON_PATH = "/Library/LaunchDaemons/com.moonspirit.llama-swap.plist"
DAEMON_TARGET = "system/com.moonspirit.llama-swap"
LAUNCHER = written_files.launcher(DAEMON_PLACE, BUNDLE, LLAMA_SWAP, linked={}, config="")
assert LAUNCHER
ROOTS = written_files.plist(DAEMON, DAEMON_PATH)
WRITES = ["run-as-root", *sudo_rules.writes(DAEMON_PATH, ROOTS.text)]
D_UNLOAD = [f"job-unload {DAEMON_TARGET} 105"]
D_LAUNCHER = [f"upload {LAUNCHER.path}.new"]
D_WRITE = [shlex.join(WRITES)]
D_LOAD = [f"job-load system com.moonspirit.llama-swap {DAEMON_PATH}"]
D_START = [f"job-start {DAEMON_TARGET} /Users/me/llama-swap/llama-swap.log"]
RIGHT = {
    "job": loaded(DAEMON, path=DAEMON_PATH),
    "file": f"file 644 {ROOTS.sha256}  -",
    "launcher": f"file 700 {LAUNCHER.sha256}  -",
    "started": f"started\n{LAUNCHER.digest}\nvirtual 0",
}
DAEMONS = {
    "right": ({}, []),
    "dead": ({"job": loaded(DAEMON, None, DAEMON_PATH)}, D_START),
    "gone": ({"job": NOT_LOADED}, [*D_WRITE, *D_LOAD, *D_START]),
    "without its file": ({"file": "absent"}, [*D_WRITE, *D_START]),
    "with another file": ({"file": f"file 644 {'0' * 64}  -"}, [*D_WRITE, *D_START]),
    "quarantined": ({"started": "quarantined\n" + str(RIGHT["started"])}, [*D_WRITE, *D_START]),
    "of an older launcher": (
        {"launcher": f"file 700 {'0' * 64}  -", "started": "started\nold"},
        [*D_UNLOAD, *D_LAUNCHER, *D_WRITE, *D_LOAD, *D_START],
    ),
    # Killed after the launcher was written, before the job was loaded again.
    "started before": (
        {"started": "started\nold"},
        [*D_UNLOAD, *D_WRITE, *D_LOAD, *D_START],
    ),
    "dead, of an older launcher": (
        {"job": loaded(DAEMON, None, DAEMON_PATH), "launcher": "absent", "started": "started"},
        [*D_LAUNCHER, *D_START],
    ),
    "nothing yet": (
        {"job": NOT_LOADED, "file": "absent", "launcher": "absent", "started": "started"},
        [*D_LAUNCHER, *D_WRITE, *D_LOAD, *D_START],
    ),
}


def _daemon_asks() -> Iterator[Question]:
    assert LAUNCHER
    where = (LAUNCHER.path, LAUNCHER.started)
    yield from launchd.asks(domain=domains.DAEMONS, label=DAEMON["Label"], launcher=where)


@operation(asks=_daemon_asks)
def keep_daemon() -> Commands:
    yield from launchd.converge(DAEMON, domain=domains.DAEMONS, running=True, launcher=LAUNCHER)


@pytest.mark.parametrize("state", DAEMONS)
def test_a_daemon_is_brought_from_any_state_to_running(state: str) -> None:
    found, wanted = DAEMONS[state]
    assert LAUNCHER
    there: dict[str, Any] = {**RIGHT, **found}
    answers = {
        "launchctl print": there["job"],
        f"state {LAUNCHER.path}": there["launcher"],
        "state": there["file"],
        "daemon": there["started"],
    }
    sent = run(keep_daemon, answers=answers).sent

    assert [c for c in sent if not c.startswith(("mkdir", "chmod"))] == wanted


def test_a_daemons_process_is_told_without_root() -> None:
    command = launchd.signal("com.example.job", domain=domains.DAEMONS, name="HUP")

    assert "sudo" not in str(command.get_raw_value())
    assert "kill -HUP" in str(command.get_raw_value())
