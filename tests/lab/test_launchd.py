"""launchd and launchctl: texts and exit codes of published captures, life cycles of jobs."""

from __future__ import annotations

import os
import plistlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.lab import Mac

GUI = "gui/501"
TARGET = "gui/501/com.example.job"
Agent = Callable[..., Path]
Until = Callable[..., Any]

AS_USER = (
    "Bootstrap failed: 5: Input/output error\n"
    "Try re-running the command as root for richer errors.\n"
)
NOT_FOUND = 'Could not find service "com.example.job" in domain for user gui: 501\n'


def launchctl(mac: Mac, *args: str, root: bool = False) -> tuple[int, str, str]:
    """Through the stand-in, as a user over SSH would."""
    environment = {"LAB_AS_ROOT": "1"} if root else {}
    result = mac.run("launchctl " + " ".join(args), env=environment)
    return result.returncode, result.stdout, result.stderr


def job(mac: Mac) -> dict[str, str]:
    return mac.launchd.job("com.example.job") or {}


def stubborn(mac: Mac) -> list[str]:
    """A program that ignores SIGTERM and says when it does."""
    return ["/bin/sh", "-c", f"trap '' TERM; touch {mac.home}/ready; while :; do sleep 0.1; done"]


def test_print_has_the_captured_layout(mac: Mac, agent: Agent) -> None:
    """mattstack's capture of macOS 26, with the values of this job."""
    logs = mac.home / "logs"
    path = agent(
        RunAtLoad=True,
        KeepAlive=True,
        WorkingDirectory=str(mac.home),
        StandardOutPath=f"{logs}/out.log",
        StandardErrorPath=f"{logs}/err.log",
        EnvironmentVariables={"PORT": "11002"},
    )
    assert launchctl(mac, "bootstrap", GUI, str(path)) == (0, "", "")
    code, out, err = launchctl(mac, "print", TARGET)
    pid = job(mac)["pid"]
    asid = job(mac)["asid"]

    assert (code, err) == (0, "")
    assert out.startswith(
        f"""\
{TARGET} = {{
	active count = 1
	path = {path}
	type = LaunchAgent
	state = running

	program = /bin/sleep
	arguments = {{
		/bin/sleep
		1000
	}}

	working directory = {mac.home}

	stdout path = {logs}/out.log
	stderr path = {logs}/err.log
	inherited environment = {{
		SSH_AUTH_SOCK => /var/run/com.apple.launchd.TzpwIuqAEF/Listeners
	}}

	default environment = {{
		PATH => /usr/bin:/bin:/usr/sbin:/sbin
	}}

	environment = {{
		OSLogRateLimit => 64
		PORT => 11002
		XPC_SERVICE_NAME => com.example.job
	}}

	domain = {GUI} [{asid}]
	asid = {asid}
	minimum runtime = 10
	exit timeout = 5
	runs = 1
	pid = {pid}
	immediate reason = speculative
"""
    )
    assert "\tlast exit code = (never exited)\n\n\tresource coalition = {\n\t\tID = " in out
    assert out.endswith(
        "\tproperties = keepalive | runatload | inferred program | managed LWCR | has LWCR\n}\n"
    )


def test_print_shows_the_definition_that_was_loaded(mac: Mac, agent: Agent) -> None:
    path = agent(ProgramArguments=["/bin/sleep", "1000"])
    launchctl(mac, "bootstrap", GUI, str(path))
    agent(ProgramArguments=["/bin/sleep", "2000"])

    assert "\t\t1000\n" in mac.launchd.print(TARGET)


def test_what_is_not_loaded_is_not_found(mac: Mac) -> None:
    assert launchctl(mac, "print", TARGET) == (113, "", "Bad request.\n" + NOT_FOUND)
    assert launchctl(mac, "kickstart", TARGET) == (113, "", NOT_FOUND)
    assert launchctl(mac, "print", "user/501/com.example.job") == (
        113,
        "",
        'Bad request.\nCould not find service "com.example.job" in domain for uid: 501\n',
    )
    assert launchctl(mac, "bootout", TARGET) == (3, "", "Boot-out failed: 3: No such process\n")
    assert launchctl(mac, "list", "com.example.job") == (
        113,
        "",
        'Could not find service "com.example.job" in domain for port\n',
    )


def test_without_a_console_login_there_is_no_gui_domain(mac: Mac, agent: Agent) -> None:
    path = agent()
    mac.set(console=False)
    unsupported = "125: Domain does not support specified action\n"

    assert launchctl(mac, "bootstrap", GUI, str(path)) == (
        125,
        "",
        f"Bootstrap failed: {unsupported}",
    )
    assert launchctl(mac, "bootout", TARGET) == (125, "", f"Boot-out failed: {unsupported}")
    assert launchctl(mac, "kickstart", TARGET) == (
        125,
        "",
        f'Could not kickstart service "com.example.job": {unsupported}',
    )
    missing = "Bad request.\nCould not find domain for user gui: 501\n"
    assert launchctl(mac, "print", GUI) == (112, "", missing)
    mac.set(no_gui_print=125)
    assert launchctl(mac, "print", GUI) == (125, "", f"Could not print domain: {unsupported}")


def test_a_loaded_label_cannot_be_loaded_again(mac: Mac, agent: Agent) -> None:
    path = agent()
    launchctl(mac, "bootstrap", GUI, str(path))

    assert launchctl(mac, "bootstrap", GUI, str(path)) == (5, "", AS_USER)
    assert launchctl(mac, "bootstrap", GUI, str(path), root=True) == (
        37,
        "",
        f"{path}: service already bootstrapped\n"
        "Bootstrap failed: 37: Operation already in progress\n",
    )


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (108, "Invalid path"),
        (109, "Invalid property list"),
        (111, "Invalid or missing Program/ProgramArguments"),
        (119, "Service is disabled"),
        (122, "Path had bad ownership/permissions"),
        (134, "Service cannot load in requested session"),
    ],
)
def test_every_unloadable_list_is_a_5_for_users(
    mac: Mac, agent: Agent, number: int, text: str
) -> None:
    path = agent()
    if number == 108:
        path.unlink()
    elif number == 109:
        path.write_text("not a property list")
    elif number == 111:
        agent(ProgramArguments=[])
    elif number == 119:
        assert launchctl(mac, "disable", TARGET) == (0, "", "")
    elif number == 122:
        path.chmod(0o664)
    elif number == 134:
        agent(LimitLoadToSessionType="Background")

    assert launchctl(mac, "bootstrap", GUI, str(path)) == (5, "", AS_USER)
    assert launchctl(mac, "bootstrap", GUI, str(path), root=True) == (
        number,
        "",
        f"{path}: {text}\nBootstrap failed: {number}: {text}\n",
    )


def test_the_label_stays_until_the_process_is_dead(mac: Mac, agent: Agent, until: Until) -> None:
    """bootout returns at once; bootstrapping in the meantime is the well-known 5."""
    path = agent(ProgramArguments=stubborn(mac), RunAtLoad=True, ExitTimeOut=1)
    launchctl(mac, "bootstrap", GUI, str(path))
    until((mac.home / "ready").exists)
    pid = int(job(mac)["pid"])

    assert launchctl(mac, "bootout", TARGET) == (0, "", "")
    assert job(mac)["state"] == "SIGTERMed"
    assert launchctl(mac, "bootstrap", GUI, str(path)) == (5, "", AS_USER)
    assert launchctl(mac, "bootout", TARGET) == (0, "", "")  # 36 only up to macOS 11

    until(lambda: mac.launchd.job("com.example.job") is None, 3)
    assert pid not in mac.processes()
    assert launchctl(mac, "bootstrap", GUI, str(path))[0] == 0


def test_bootout_can_wait_from_macos_26(mac: Mac, agent: Agent) -> None:
    path = agent(RunAtLoad=True)
    launchctl(mac, "bootstrap", GUI, str(path))
    mac.set(macos="15.7.5")
    assert launchctl(mac, "bootout", "--wait", TARGET)[0] == 64
    mac.set(macos="26.1")

    assert launchctl(mac, "bootout", "--wait", TARGET) == (0, "", "")
    assert mac.launchd.job("com.example.job") is None


def test_bootout_by_path_and_of_the_whole_process_group(
    mac: Mac, agent: Agent, until: Until
) -> None:
    path = agent(
        ProgramArguments=["/bin/sh", "-c", f"sleep 1000 & echo $! > {mac.home}/child; wait"],
        RunAtLoad=True,
    )
    launchctl(mac, "bootstrap", GUI, str(path))
    child = int(until(lambda: _read(mac.home / "child")))
    launchctl(mac, "bootout", GUI, str(path))

    until(lambda: child not in mac.processes())


def _read(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def test_kickstart_replaces_the_process_by_sigkill(mac: Mac, agent: Agent, until: Until) -> None:
    path = agent(RunAtLoad=True, ThrottleInterval=1)
    launchctl(mac, "bootstrap", GUI, str(path))
    first = job(mac)["pid"]
    assert launchctl(mac, "kickstart", TARGET) == (0, "", "")
    assert job(mac)["pid"] == first

    assert launchctl(mac, "kickstart", "-k", TARGET) == (0, "", "")
    until(lambda: job(mac).get("pid", first) != first)
    assert job(mac)["runs"] == "2"
    assert job(mac)["last terminating signal"] == "Killed: 9"
    assert launchctl(mac, "kickstart", "-p", TARGET) == (0, f"{job(mac)['pid']}\n", "")


def test_a_short_lived_job_is_throttled(mac: Mac, agent: Agent, until: Until) -> None:
    path = agent(ProgramArguments=["/bin/sh", "-c", "exit 3"], KeepAlive=True, ThrottleInterval=1)
    launchctl(mac, "bootstrap", GUI, str(path))
    until(lambda: job(mac)["state"] == "spawn scheduled")

    assert job(mac)["last exit code"] == "3"
    assert job(mac)["runs"] == "1"
    assert job(mac)["minimum runtime"] == "1"
    assert "pid" not in job(mac)
    until(lambda: job(mac)["runs"] == "2", 2)


@pytest.mark.parametrize(
    ("keep", "code", "again"),
    [
        (True, 0, True),
        (False, 1, False),
        ({"SuccessfulExit": False}, 0, False),
        ({"SuccessfulExit": False}, 1, True),
        ({"SuccessfulExit": True}, 0, True),
        ({"Crashed": True}, 1, False),
    ],
)
def test_keep_alive(
    mac: Mac, agent: Agent, until: Until, keep: Any, code: int, again: bool
) -> None:
    arguments = ["/bin/sh", "-c", f"exit {code}"]
    path = agent(ProgramArguments=arguments, KeepAlive=keep, RunAtLoad=True)
    launchctl(mac, "bootstrap", GUI, str(path))
    until(lambda: job(mac)["last exit code"] == str(code))

    assert job(mac)["state"] == ("spawn scheduled" if again else "not running")


@pytest.mark.parametrize("what", ["program", "folder", "log"])
def test_what_cannot_be_opened_is_a_configuration_error(mac: Mac, agent: Agent, what: str) -> None:
    broken: dict[str, dict[str, Any]] = {
        "program": {"ProgramArguments": ["/usr/bin/timeout", "1"]},  # not on macOS
        "folder": {"WorkingDirectory": "/nowhere"},
        "log": {"StandardErrorPath": "/nowhere/at/all/err.log"},
    }
    keys = broken[what]
    launchctl(mac, "bootstrap", GUI, str(agent(RunAtLoad=True, **keys)))

    assert job(mac)["last exit code"] == "78: EX_CONFIG"
    assert job(mac)["state"] == "not running"


def test_a_job_sees_launchds_environment(mac: Mac, agent: Agent, until: Until) -> None:
    out = mac.home / "out.log"
    path = agent(
        ProgramArguments=["/bin/sh", "-c", "env; pwd; command -v launchctl; launchctl managername"],
        EnvironmentVariables={"PATH": f"{mac.prefix}/bin:/usr/bin:/bin"},
        StandardOutPath=str(out),
        RunAtLoad=True,
    )
    launchctl(mac, "bootstrap", GUI, str(path))
    until(lambda: job(mac)["state"] == "not running")
    lines = out.read_text().splitlines()

    assert f"PATH={mac.prefix}/bin:{mac.root}/usr/bin:{mac.root}/bin" in lines
    assert f"HOME={mac.home}" in lines
    assert "SHELL=/bin/zsh" in lines
    assert lines[-3:] == ["/", f"{mac.root}/bin/launchctl", "Aqua"]


def test_disabling_is_remembered(mac: Mac, agent: Agent) -> None:
    assert launchctl(mac, "print-disabled", GUI) == (
        0,
        "\n\tdisabled services = (no disabled services)\n\n\tlogin item associations = {\n\t}\n",
        "",
    )
    launchctl(mac, "disable", TARGET)
    launchctl(mac, "enable", "gui/501/com.example.other")

    shown = (
        "\n\tdisabled services = {\n"
        '\t\t"com.example.job" => disabled\n'
        '\t\t"com.example.other" => enabled\n'
        "\t}\n\n\tlogin item associations = {\n\t}\n"
    )
    assert launchctl(mac, "print-disabled", GUI) == (0, shown, "")
    mac.reboot()
    assert launchctl(mac, "print-disabled", "user/501") == (0, shown, "")
    agent(RunAtLoad=True)
    mac.reboot()
    assert mac.launchd.job("com.example.job") is None


def test_legacy_verbs_see_the_callers_domain_only(mac: Mac, agent: Agent, until: Until) -> None:
    path = agent(RunAtLoad=True, ProgramArguments=["/bin/sh", "-c", "exit 1"])
    launchctl(mac, "bootstrap", GUI, str(path))
    until(lambda: job(mac)["state"] == "not running")

    assert launchctl(mac, "list") == (0, "PID\tStatus\tLabel\n", "")
    console = mac.launchd("list", session="Aqua")
    assert console["out"] == "PID\tStatus\tLabel\n-\t1\tcom.example.job\n"
    assert mac.launchd("list", "com.example.job", session="Aqua")["out"] == (
        "{\n"
        '\t"LimitLoadToSessionType" = "Aqua";\n'
        '\t"Label" = "com.example.job";\n'
        '\t"OnDemand" = true;\n'
        '\t"LastExitStatus" = 256;\n'
        '\t"Program" = "/bin/sh";\n'
        '\t"ProgramArguments" = (\n\t\t"/bin/sh";\n\t\t"-c";\n\t\t"exit 1";\n\t);\n'
        "};\n"
    )


def test_load_and_unload_fail_with_0(mac: Mac, agent: Agent) -> None:
    path = agent()  # for Aqua, and this caller's session is Background

    assert launchctl(mac, "load", str(path)) == (
        0,
        "",
        "Load failed: 5: Input/output error\n"
        "Try running `launchctl bootstrap` as root for richer errors.\n",
    )
    assert launchctl(mac, "unload", str(path)) == (
        0,
        "",
        "Unload failed: 5: Input/output error\n"
        "Try running `launchctl bootout` as root for richer errors.\n",
    )


def test_about_the_session(mac: Mac) -> None:
    assert launchctl(mac, "managername") == (0, "Background\n", "")
    assert launchctl(mac, "manageruid") == (0, "501\n", "")
    assert launchctl(mac, "error", "125")[1] == "125: Domain does not support specified action\n"
    assert launchctl(mac, "frobnicate")[0] == 64


def test_login_loads_every_agent_but_links_and_disabled_ones(mac: Mac, agent: Agent) -> None:
    agent("com.example.job", RunAtLoad=True)
    agent("com.example.off", RunAtLoad=True)
    real = agent("com.example.link", RunAtLoad=True)
    real.rename(mac.home / "elsewhere.plist")
    real.symlink_to(mac.home / "elsewhere.plist")
    launchctl(mac, "disable", "gui/501/com.example.off")
    mac.logout()
    mac.login()

    assert mac.launchd.labels() == ["com.example.job"]
    assert job(mac)["state"] == "running"
    mac.set(macos="13.6")
    mac.reboot()
    assert mac.launchd.labels() == ["com.example.job", "com.example.link"]


def test_logout_ends_the_jobs(mac: Mac, agent: Agent) -> None:
    launchctl(mac, "bootstrap", GUI, str(agent(RunAtLoad=True)))
    mac.logout()

    assert mac.processes() == []
    assert mac.facts["console"] is False


def test_a_reboot_forgets_what_was_bootstrapped(mac: Mac, agent: Agent) -> None:
    path = agent(LimitLoadToSessionType=["Aqua", "Background"], KeepAlive=True)
    assert launchctl(mac, "bootstrap", "user/501", str(path))[0] == 0
    mac.set(wired_limit_mb=100000)
    mac.reboot()

    assert mac.launchd.labels("user/501") == []
    assert mac.launchd.labels("gui/501") == ["com.example.job"]
    assert mac.facts["wired_limit_mb"] == 0


def test_kill_and_stop(mac: Mac, agent: Agent, until: Until) -> None:
    launchctl(mac, "bootstrap", GUI, str(agent(RunAtLoad=True)))
    assert launchctl(mac, "kill", "SIGINT", TARGET) == (0, "", "")
    until(lambda: job(mac)["state"] == "not running")

    assert job(mac)["last terminating signal"] == "Interrupt: 2"
    assert "last exit code" not in job(mac)
    assert launchctl(mac, "kill", "TERM", TARGET)[0] == 3


def test_open_from_a_job_runs_in_a_terminal(mac: Mac, agent: Agent, until: Until) -> None:
    """Ctrl+C in that window reaches the program in the foreground."""
    script = mac.home / "start.command"
    script.write_text(
        "#!/bin/sh\ntrap 'echo stopped; exit 0' INT\necho hello\nwhile :; do sleep 0.05; done\n"
    )
    script.chmod(0o755)
    arguments = ["/usr/bin/open", "-a", "Terminal", str(script)]
    launchctl(mac, "bootstrap", GUI, str(agent(ProgramArguments=arguments, RunAtLoad=True)))
    until(lambda: mac.terminals and "hello" in mac.terminals[0].output)
    assert mac.terminals[0].alive
    mac.terminals[0].write("\x03")

    until(lambda: not mac.terminals[0].alive)
    assert "stopped" in mac.terminals[0].output
    assert mac.opened[-1] == str(script)


def test_the_jobs_of_one_mac_are_not_anothers(mac: Mac, agent: Agent) -> None:
    launchctl(mac, "bootstrap", GUI, str(agent(RunAtLoad=True)))
    other = mac._lab["mac2"]

    assert len(mac.processes()) == 1
    assert other.processes() == []
    assert other.run("pgrep -f sleep").returncode == 1
    assert other.run("pkill -f sleep").returncode == 1
    assert mac.run("pgrep sleep").stdout == f"{job(mac)['pid']}\n"
    os.kill(int(job(mac)["pid"]), signal.SIGCONT)  # still there


# -- The system's domain: anybody looks, root changes


@pytest.fixture
def daemon(mac: Mac) -> Path:
    path = mac.root / "Library/LaunchDaemons/com.example.job.plist"
    keys = {"ProgramArguments": ["/bin/sleep", "1000"], "UserName": "tester", "RunAtLoad": True}
    path.write_bytes(plistlib.dumps({"Label": "com.example.job", **keys}))
    return path


def test_a_daemon_is_roots_to_change_and_everybodys_to_see(mac: Mac, daemon: Path) -> None:
    """Texts of users: facts of macOS 26.3, and six reports."""
    system = "system/com.example.job"
    path = "/Library/LaunchDaemons/com.example.job.plist"
    assert launchctl(mac, "bootstrap", "system", path) == (5, "", AS_USER)
    assert launchctl(mac, "bootstrap", "system", path, root=True) == (0, "", "")
    code, shown, _ = launchctl(mac, "print", system)
    assert code == 0
    for line in (f"path = {path}", "type = LaunchDaemon", "username = tester", "domain = system"):
        assert f"\t{line}\n" in shown
    denied = "1: Operation not permitted\n"
    assert launchctl(mac, "bootout", system) == (1, "", f"Boot-out failed: {denied}")
    said = f'Could not kickstart service "com.example.job": {denied}'
    assert launchctl(mac, "kickstart", "-k", system) == (1, "", said)
    assert launchctl(mac, "bootout", system, root=True) == (0, "", "")
    daemon.unlink()


def test_daemons_start_with_the_mac_but_no_quarantined_one_of_macos_27(
    mac: Mac, daemon: Path
) -> None:
    mac.set(console=False)
    mac.reboot()
    assert mac.launchd.labels("system") == ["com.example.job"]
    mac.quarantines(daemon)
    for version, loaded in (("26.1", ["com.example.job"]), ("27.0", [])):
        mac.set(macos=version)
        mac.reboot()
        assert mac.launchd.labels("system") == loaded
    assert launchctl(mac, "bootstrap", "system", str(daemon), root=True)[0] == 155
    # The attribute is the file's, and goes with it, also where the next one got its number.
    daemon.unlink()
    daemon.write_text("new")
    assert mac.quarantine(daemon) is None
    daemon.unlink()
