"""launchd runs exactly the wanted jobs, and one deploy repairs what an interruption or a hand left.

A deploy that was killed, or a person with launchctl, can leave each of these states; that a
deploy says "nothing to do" in one of them would be the lost restart.
"""

import contextlib
import os
import plistlib
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.lab import Mac
from tests.e2e.fleet import SENTENCE, Fleet, is_served, plain, until
from tests.e2e.test_interrupted import is_repaired, killed_in

LABELS = {"llama-swap": "com.moonspirit.llama-swap", "proxy": "com.moonspirit.proxy"}
OPERATIONS = {"llama-swap": "Services | Run llama-swap", "proxy": "Services | Run the proxy"}
VERIFY = "Verify | Wait until the stack serves"
STRAYS = "Services | Stop what runs outside launchd"


@pytest.fixture
def mac(deployed: Fleet) -> Mac:
    """The module's Mac, with whatever the tests before left repaired."""
    mac = deployed["mac1"]
    if not all(pid_of(mac, job) and is_served(mac.ports[port(job)]) for job in LABELS):
        assert deployed.deploy().code == 0
    return mac


def port(job: str) -> str:
    return job.replace("-", "_")


def plist(mac: Mac, job: str) -> Path:
    return mac.home / "Library/LaunchAgents" / f"{LABELS[job]}.plist"


def loaded(mac: Mac, job: str) -> dict[str, str] | None:
    return mac.launchd.job(LABELS[job])


def pid_of(mac: Mac, job: str) -> int | None:
    pid = (loaded(mac, job) or {}).get("pid")
    return int(pid) if pid else None


def llama_servers(mac: Mac) -> list[int]:
    return [int(pid) for pid in mac.run("pgrep -f llama-server").stdout.split()]


def bootout(mac: Mac, job: str) -> None:
    """As a person does, who then waits until it is gone."""
    assert mac.launchd("bootout", f"gui/501/{LABELS[job]}")["code"] == 0
    until(lambda: loaded(mac, job) is None)


def bootstrap(mac: Mac, path: Path) -> None:
    done = mac.launchd("bootstrap", "gui/501", str(path))
    assert done["code"] == 0, done["err"]


def block(text: str, name: str) -> list[str]:
    """The lines of a block of `launchctl print` with one leading tab."""
    inside = text.partition(f"\n\t{name} = {{\n")[2].partition("\n\t}\n")[0]
    return [line.strip("\t") for line in inside.splitlines()]


@contextlib.contextmanager
def somebody_on(mac: Mac, at: int, *, seen: bool = True) -> Iterator[subprocess.Popen[bytes]]:
    """Another program of this Mac's user on a port; unseen, it is another user's."""
    program = (
        "import sys, http.server as h; h.test(h.SimpleHTTPRequestHandler, port=int(sys.argv[1]))"
    )
    environment = mac.environment() if seen else {"PATH": os.environ["PATH"]}
    process = subprocess.Popen(
        ["python3", "-c", program, str(at)],
        env=environment | {"PATH": os.environ["PATH"]},
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: is_served(at))
    try:
        yield process
    finally:
        process.kill()
        process.wait()


# -- what a deploy leaves


@pytest.mark.parametrize("job", LABELS)
def test_launchd_has_loaded_exactly_the_rendered_definition(deployed: Fleet, job: str) -> None:
    mac = deployed["mac1"]
    path = plist(mac, job)
    wanted = plistlib.loads(path.read_bytes())
    shown = mac.launchd.print(f"gui/501/{LABELS[job]}")
    values = loaded(mac, job)

    assert values
    assert values["path"] == str(path)
    assert values["state"] == "running"
    assert block(shown, "arguments") == wanted["ProgramArguments"]
    environment = dict(line.split(" => ", 1) for line in block(shown, "environment"))
    own = {"OSLogRateLimit", "XPC_SERVICE_NAME"}
    assert {k: v for k, v in environment.items() if k not in own} == wanted["EnvironmentVariables"]
    assert values["working directory"] == wanted["WorkingDirectory"]
    assert values["stdout path"] == values["stderr path"] == wanted["StandardOutPath"]
    assert values["exit timeout"] == str(wanted["ExitTimeOut"])
    assert values["spawn type"].startswith("interactive")
    assert {"keepalive", "runatload"} <= set(values["properties"].split(" | "))
    assert wanted["KeepAlive"] is True
    assert wanted["RunAtLoad"] is True
    assert wanted["Umask"] == 0o077
    assert values["runs"] == "1"


@pytest.mark.parametrize("job", LABELS)
def test_property_lists_are_real_files_that_launchd_takes_at_login(
    deployed: Fleet, job: str
) -> None:
    """It ignores links from macOS 14, and refuses what others may write."""
    status = plist(deployed["mac1"], job).lstat()

    assert stat.S_ISREG(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o644
    assert status.st_uid == os.getuid()


def test_no_other_jobs_and_no_leftovers_are_there(deployed: Fleet) -> None:
    mac = deployed["mac1"]

    assert sorted(mac.launchd.labels()) == sorted(LABELS.values())
    agents = (mac.home / "Library/LaunchAgents").iterdir()
    assert sorted(file.name for file in agents) == [f"{label}.plist" for label in LABELS.values()]
    assert not list((mac.home / "llama-swap").glob("*.new"))


# -- what goes on without a deploy


@pytest.mark.parametrize("way", ["reboot", pytest.param("new login", marks=pytest.mark.soak)])
def test_the_stack_serves_again_without_a_deploy(deployed: Fleet, way: str) -> None:
    mac = deployed["mac1"]
    if way == "reboot":
        mac.reboot()
    else:
        mac.logout()
        assert mac.launchd.labels() == []
        assert not is_served(mac.ports["proxy"])
        mac.login()

    until(lambda: all(is_served(mac.ports[port(job)]) for job in LABELS))
    assert deployed.says() == SENTENCE
    run = deployed.deploy()
    assert run.code == 0, run.err
    assert run.changed("mac1") == set()


@pytest.mark.soak
def test_killed_processes_come_back(deployed: Fleet, mac: Mac) -> None:
    """launchd brings back the two that are its own.

    A llama-server has a process group of its own, so it outlives its llama-swap and keeps its
    port from the next one: the next deploy ends it.
    """
    assert deployed.says() == SENTENCE
    before = {job: pid_of(mac, job) for job in LABELS}
    orphans = llama_servers(mac)
    assert orphans
    for pid in before.values():
        assert pid
        os.kill(pid, signal.SIGKILL)

    # launchd starts a job at most every ten seconds.
    until(lambda: all(pid_of(mac, job) not in (None, pid) for job, pid in before.items()))
    until(lambda: all(is_served(mac.ports[port(job)]) for job in LABELS))
    assert set(orphans) <= set(llama_servers(mac))
    run = deployed.settles()

    assert run.changed("mac1") - {VERIFY} == {STRAYS}
    assert not set(orphans) & set(llama_servers(mac))
    assert deployed.says() == SENTENCE


def test_a_killed_llama_server_comes_back_with_the_next_request(deployed: Fleet, mac: Mac) -> None:
    assert deployed.says() == SENTENCE
    before = llama_servers(mac)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not llama_servers(mac))

    assert deployed.says() == SENTENCE
    assert llama_servers(mac)


# -- what one deploy repairs


def booted_out(mac: Mac, job: str) -> None:
    bootout(mac, job)


def file_deleted(mac: Mac, job: str) -> None:
    plist(mac, job).unlink()
    assert pid_of(mac, job)


def file_edited(mac: Mac, job: str) -> None:
    """launchd's own definition is right still, until the next login."""
    path = plist(mac, job)
    definition = plistlib.loads(path.read_bytes())
    path.write_bytes(plistlib.dumps({**definition, "KeepAlive": False}))


def file_unsafe(mac: Mac, job: str) -> None:
    """launchd refuses it at the next login."""
    plist(mac, job).chmod(0o666)


def file_is_a_link(mac: Mac, job: str) -> None:
    """Taken by bootstrap, ignored at login."""
    path = plist(mac, job)
    path.rename(mac.home / path.name)
    path.symlink_to(mac.home / path.name)


def restart_lost(mac: Mac, job: str) -> None:
    """The new file is there, but a run was cut off before launchd read it."""
    path = plist(mac, job)
    wanted = path.read_bytes()
    definition = plistlib.loads(wanted)
    definition["EnvironmentVariables"]["HERD_DEFINITION"] = "that-of-an-older-run"
    path.write_bytes(plistlib.dumps(definition))
    bootout(mac, job)
    bootstrap(mac, path)
    path.write_bytes(wanted)
    assert "that-of-an-older-run" in mac.launchd.print(f"gui/501/{LABELS[job]}")


def disabled(mac: Mac, job: str) -> None:
    """As the switch of the Login Items does; it outlives a reboot and the property list."""
    mac.launchd("disable", f"gui/501/{LABELS[job]}")
    bootout(mac, job)
    assert mac.launchd("bootstrap", "gui/501", str(plist(mac, job)))["code"] == 5


def loaded_from_elsewhere(mac: Mac, job: str) -> None:
    other = mac.home / "other.plist"
    other.write_bytes(plist(mac, job).read_bytes())
    other.chmod(0o644)
    bootout(mac, job)
    bootstrap(mac, other)
    assert loaded(mac, job)["path"] == str(other)  # type: ignore[index]


def deaf_to_sigterm(mac: Mac, job: str) -> None:
    """An old definition whose process leaves only by SIGKILL: the label stays taken meanwhile."""
    path = plist(mac, job)
    wanted = path.read_bytes()
    deaf = 'trap "" TERM; while :; do sleep 1; done'
    path.write_bytes(
        plistlib.dumps(
            {
                **plistlib.loads(wanted),
                "ProgramArguments": ["/bin/sh", "-c", deaf],
                "ExitTimeOut": 3,
            }
        )
    )
    bootout(mac, job)
    bootstrap(mac, path)
    path.write_bytes(wanted)
    until(lambda: pid_of(mac, job))


def stopped_process(mac: Mac, job: str) -> None:
    """Hung, under a definition that is to be replaced: SIGTERM is not even delivered."""
    restart_lost(mac, job)
    pid = until(lambda: pid_of(mac, job))
    os.kill(pid, signal.SIGSTOP)


def does_not_run(mac: Mac, job: str) -> None:
    """Loaded, but its program was not to be started: not the wanted definition, and no process."""
    path = plist(mac, job)
    wanted = path.read_bytes()
    definition = {**plistlib.loads(wanted), "ProgramArguments": ["/nowhere/at/all"]}
    path.write_bytes(plistlib.dumps(definition))
    bootout(mac, job)
    bootstrap(mac, path)
    path.write_bytes(wanted)
    assert pid_of(mac, job) is None


STATES: list[Callable[[Mac, str], None]] = [
    booted_out,
    file_deleted,
    file_edited,
    file_unsafe,
    file_is_a_link,
    restart_lost,
    disabled,
    loaded_from_elsewhere,
    deaf_to_sigterm,
    stopped_process,
    does_not_run,
]
# Two at a time, one per job; `make soak` has each alone, on each job.
PAIRS = [
    pytest.param((booted_out, file_deleted), marks=pytest.mark.soak),
    (restart_lost, disabled),
    pytest.param((loaded_from_elsewhere, deaf_to_sigterm), marks=pytest.mark.soak),
]
RUNS_ON = {file_deleted, file_edited, file_unsafe, file_is_a_link}


def repair(fleet: Fleet, states: dict[str, Callable[[Mac, str], None]]) -> None:
    """One deploy mends the jobs in these states, and only them; the next changes nothing."""
    mac = fleet["mac1"]
    before = {job: pid_of(mac, job) for job in LABELS}
    for job, state in states.items():
        state(mac, job)

    run = fleet.settles()

    assert run.changed("mac1") - {VERIFY} == {OPERATIONS[job] for job in states}, run.out + run.err
    for job in LABELS:
        definition = plistlib.loads(plist(mac, job).read_bytes())
        values = loaded(mac, job)
        assert values, job
        assert not plist(mac, job).is_symlink()
        assert values["path"] == str(plist(mac, job))
        shown = mac.launchd.print(f"gui/501/{LABELS[job]}")
        assert block(shown, "arguments") == definition["ProgramArguments"]
        # A job that is right is left alone, even while its file is mended.
        left_alone = job not in states or states[job] in RUNS_ON
        assert (pid_of(mac, job) == before[job]) == left_alone, job
    assert fleet.says() == SENTENCE


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: "+".join(state.__name__ for state in p))
def test_one_deploy_repairs(deployed: Fleet, mac: Mac, pair: Any) -> None:
    repair(deployed, {"llama-swap": pair[0], "proxy": pair[1]})


@pytest.mark.soak
@pytest.mark.parametrize("job", LABELS)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_one_deploy_repairs_each(
    deployed: Fleet, mac: Mac, state: Callable[[Mac, str], None], job: str
) -> None:
    repair(deployed, {job: state})


def test_a_deploy_that_is_killed_while_it_switches_a_job_is_repaired(
    deployed: Fleet, mac: Mac
) -> None:
    """In each of its steps: test_interrupted.py."""
    restart_lost(mac, "llama-swap")
    killed_in(deployed, OPERATIONS["llama-swap"], 0.05)

    is_repaired(deployed)

    shown = mac.launchd.print(f"gui/501/{LABELS['llama-swap']}")
    assert "that-of-an-older-run" not in shown


@pytest.mark.soak
def test_what_was_repaired_serves_after_a_reboot_too(deployed: Fleet, mac: Mac) -> None:
    """`disable` outlives a reboot: a job that was only loaded again would not come back."""
    disabled(mac, "proxy")
    assert deployed.deploy().code == 0

    mac.reboot()

    until(lambda: all(is_served(mac.ports[port(job)]) for job in LABELS))
    assert deployed.says() == SENTENCE


# -- what no deploy can mend


@pytest.mark.soak
def test_a_port_that_somebody_else_took_is_named_and_nobody_is_killed(
    deployed: Fleet, mac: Mac
) -> None:
    """The proxy is in a crash loop for it; once the other is gone, a deploy puts it right."""
    bootout(mac, "proxy")
    with somebody_on(mac, mac.ports["proxy"]) as other:
        bootstrap(mac, plist(mac, "proxy"))
        until(lambda: (loaded(mac, "proxy") or {})["state"] == "spawn scheduled")
        run = deployed.deploy()

        assert run.code == 1
        text = plain(run.err)
        assert f"port {mac.ports['proxy']} (proxy_port)" in text
        assert "http.server" in text
        assert f"(pid {other.pid})" in text
        assert "Fix: stop that, or choose another port." in text
        assert other.poll() is None

    deployed.settles()
    assert deployed.says() == SENTENCE


def test_another_users_process_on_a_port_is_seen_by_connecting(deployed: Fleet, mac: Mac) -> None:
    """lsof without root does not show it."""
    bootout(mac, "llama-swap")
    with somebody_on(mac, mac.ports["llama_swap"], seen=False):
        assert mac.run(f"lsof -nP -iTCP:{mac.ports['llama_swap']}").stdout == ""
        dry = deployed.pyinfra("--dry", str(deployed.lab.inventory), "deploy.py")
    bootstrap(mac, plist(mac, "llama-swap"))

    assert f"port {mac.ports['llama_swap']} (llama_swap_port)" in plain(dry.err)
    assert "another user's process" in plain(dry.err)
    until(lambda: is_served(mac.ports["llama_swap"]))


@pytest.mark.soak
def test_nobody_at_the_console_is_a_problem_with_its_fix(deployed: Fleet, mac: Mac) -> None:
    """And somebody who logs in again is all that it takes."""
    mac.set(console=False)
    try:
        run = deployed.deploy()
        dry = deployed.pyinfra("--dry", str(deployed.lab.inventory), "deploy.py")
        status = deployed.herd("status")
    finally:
        mac.set(console=True)

    assert run.code == dry.code == status.code == 1
    assert "not logged in at the console" in plain(run.err)
    assert "not logged in at the console" in plain(dry.err)
    assert "Press enter" not in dry.out + dry.err
    assert "llama-swap  waits until somebody logs in at the Mac's screen" in status.out
    assert "serves      tester is not logged in at the Mac's screen" in status.out
    assert 'launchd_autostart = "off"' in plain(run.err)
    until(lambda: all(is_served(mac.ports[port(job)]) for job in LABELS))
    assert deployed.says() == SENTENCE


# -- settings that move the jobs


MOVES: dict[str, dict[str, Any]] = {
    "port": {"proxy_port": 1},
    "prefix": {"launchd_label_prefix": "org.example.herd"},
    "root": {"stack_root": "~/elsewhere/the stack"},
}


def check_moved(fleet: Fleet, data: dict[str, Any], before: list[int]) -> None:
    """Nothing of before runs, is loaded or would be at the next login; what is wanted serves."""
    mac = fleet["mac1"]
    prefix = data.get("launchd_label_prefix", "com.moonspirit")
    labels = [f"{prefix}.llama-swap", f"{prefix}.proxy"]
    running = mac.run("ps -axww -o args=").stdout

    assert sorted(mac.launchd.labels()) == labels
    agents = (mac.home / "Library/LaunchAgents").iterdir()
    assert sorted(file.stem for file in agents) == labels
    if "proxy_port" in data:
        assert not is_served(mac.ports["proxy"])
    if "stack_root" in data:
        assert f"{mac.home}/llama-swap/" not in running
        assert f"{mac.home}/elsewhere/the stack/" in running
    if {"launchd_label_prefix", "stack_root"} & data.keys():
        assert not set(before) & set(mac.processes())
    assert fleet.says(port=data.get("proxy_port")) == SENTENCE


@pytest.mark.soak
def test_a_port_and_a_root_then_a_label_move_and_nothing_stays_behind(
    deployed: Fleet, mac: Mac
) -> None:
    data: dict[str, Any] = {"proxy_port": mac.ports["proxy"] + 1, **MOVES["root"]}
    for move in (data, MOVES["prefix"]):
        before = mac.processes()
        data |= move
        run = deployed.deploy(mac1=data)
        assert run.code == 0, run.err
        check_moved(deployed, data, before)


@pytest.mark.soak
@pytest.mark.parametrize("move", MOVES)
def test_each_move_alone_and_back(make_fleet: Callable[..., Fleet], move: str) -> None:
    fleet = make_fleet()
    assert fleet.deploy().code == 0
    mac = fleet["mac1"]
    data = dict(MOVES[move])
    if "proxy_port" in data:
        data["proxy_port"] += mac.ports["proxy"]

    before = mac.processes()
    fleet.settles(mac1=data)
    check_moved(fleet, data, before)
    fleet.settles()

    assert sorted(mac.launchd.labels()) == sorted(LABELS.values())
    assert fleet.says() == SENTENCE
