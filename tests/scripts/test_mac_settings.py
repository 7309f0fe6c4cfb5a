"""The Mac's settings: each tool's words come apart, and a change is noted before it is made."""

from collections.abc import Callable
from pathlib import Path

import pytest

from herd.facts.mac_settings import parse
from tests.core.mac import test_power, test_software_updates
from tests.scripts.conftest import Machine, Server, quoted

RECORD = "Library/Application Support/llama-herd/mac-before"


def test_what_is_asked_is_answered_and_nothing_else(machine: Machine) -> None:
    live, custom = machine.home / "live", machine.home / "custom"
    live.write_text(test_power.LIVE)
    custom.write_text(test_power.CUSTOM)
    machine.program("pmset", f'[ "$2" = custom ] && exec cat {quoted(custom)}; cat {quoted(live)}')
    machine.program("sysctl", "echo 57344")
    for name in ("defaults", "sudo"):
        machine.program(name, f"echo {name} >>{quoted(machine.home / 'asked')}; exit 1")
    done = machine.run("mac-settings", "power", "wired")

    found = parse(done.stdout.splitlines())
    assert found.value("AC Power: autorestart") == "0"
    assert found.wired == 57344
    assert not (machine.home / "asked").exists()
    assert machine.run("mac-settings").stdout == ""


def test_a_tool_that_fails_has_said_so(machine: Machine) -> None:
    machine.program("defaults", f"cat <<'E' >&2\n{test_software_updates.NONE}E\nexit 1")
    machine.program("sudo", 'echo "sudo: a password is required" >&2; exit 1')
    done = machine.run("mac-settings", "updates", "networks", "com.apple/250.x")

    found = parse(done.stdout.splitlines())
    assert found.value("updates: SplatEnabled") == "absent"
    assert found.unread == {"networks": "sudo: a password is required"}


def keg(machine: Machine) -> Path:
    """Homebrew's python@3.13, linked as it links them."""
    keg = machine.home / "Cellar/python@3.13/3.13.9_1"
    (keg / "bin").mkdir(parents=True)
    (machine.home / "opt").mkdir()
    (machine.home / "opt/python@3.13").symlink_to("../Cellar/python@3.13/3.13.9_1")
    return keg


def program(machine: Machine) -> str:
    machine.program("sudo", "echo")
    done = machine.run("mac-settings", "firewall", machine.home / "opt/python@3.13", "3.13")
    lines = done.stdout.splitlines()
    return lines[lines.index("program\t0") + 1].removeprefix("\t")


def test_the_program_that_listens_is_the_one_within_the_framework(machine: Machine) -> None:
    framework = keg(machine) / "Frameworks/Python.framework/Versions/3.13"
    app = framework / "Resources/Python.app/Contents/MacOS/Python"
    app.parent.mkdir(parents=True)
    app.write_text("#!/bin/sh\n")
    app.chmod(0o755)

    assert program(machine) == str(app)


def test_without_a_framework_it_is_what_bin_leads_to(machine: Machine) -> None:
    real = keg(machine) / "bin/python3.13"
    real.write_text("#!/bin/sh\n")
    real.chmod(0o755)

    assert program(machine) == str(real)


def test_before_it_is_installed_there_is_none(machine: Machine) -> None:
    assert program(machine) == ""


def test_what_was_is_noted_once_and_before_the_change(machine: Machine) -> None:
    record = machine.home / RECORD
    machine.program("sudo", f'cat {quoted(record)} >>{quoted(machine.home / "seen")}; echo "$@"')
    first = machine.run(
        "mac-set", record, "AC Power: sleep", "1", "/usr/bin/pmset", "-c", "sleep", "0"
    )
    machine.run("mac-set", record, "AC Power: sleep", "0", "/usr/bin/pmset", "-c", "sleep", "5")
    machine.run("mac-set", record, "AC Power: sl.ep", "7", "/usr/bin/true")

    assert first.returncode == 0
    assert record.read_text() == "AC Power: sleep\t1\nAC Power: sl.ep\t7\n"
    assert (machine.home / "seen").read_text().startswith("AC Power: sleep\t1\n")


def test_a_change_that_nobody_may_make_is_told(machine: Machine) -> None:
    machine.program("sudo", 'echo "sudo: a password is required" >&2; exit 1')
    done = machine.run(
        "mac-set", machine.home / RECORD, "x", "1", "/usr/bin/pmset", "-c", "sleep", "0"
    )

    assert done.returncode == 1
    assert "Only root may run `/usr/bin/pmset -c sleep 0`" in done.stderr


def test_what_cannot_be_noted_is_not_changed(machine: Machine) -> None:
    machine.program("sudo", f"touch {quoted(machine.home / 'ran')}")
    (machine.home / "Library").write_text("a file")
    done = machine.run("mac-set", machine.home / RECORD, "x", "1", "/usr/bin/true")

    assert done.returncode == 1
    assert not (machine.home / "ran").exists()


def test_newsyslog_is_looked_at_for_our_logs(machine: Machine) -> None:
    """Where there is none of its files, as on this machine, there is nothing to say."""
    asked = machine.home / "asked"
    machine.program("grep", f'echo "$@" >{quoted(asked)}; echo /etc/newsyslog.d/x.conf')
    done = machine.run("mac-settings", "newsyslog", "/Users/me/llama-swap")

    assert parse(done.stdout.splitlines()).newsyslog == ("/etc/newsyslog.d/x.conf",)
    assert asked.read_text().startswith("-lsF -e /Users/me/llama-swap/ /etc/newsyslog.conf ")
    machine.program("grep", "exit 1")
    done = machine.run("mac-settings", "newsyslog", "/Users/me/llama-swap")
    assert parse(done.stdout.splitlines()).newsyslog == ()


LIMIT = ("57344", "system/llama-herd.gpu-wired-limit")


def test_the_limit_is_awaited_and_models_are_loaded_anew(
    machine: Machine, serve: Callable[..., Server]
) -> None:
    """Its job was loaded just now, and sets it in a moment."""
    swap = serve(lambda path, handler: (200, b"OK"))
    key, polls = machine.home / "key", machine.home / "polls"
    key.write_text("the key")
    machine.program(
        "sysctl",
        f"echo >>{quoted(polls)}; [ $(wc -l <{quoted(polls)}) -lt 3 ] && echo 0 || echo 57344",
    )
    machine.program("sudo", f"touch {quoted(machine.home / 'root')}")
    done = machine.run("wired-limit", *LIMIT, swap.port, key)

    assert (done.returncode, done.stderr) == (0, "")
    ((path, headers),) = swap.asked
    assert path == "/api/models/unload"
    assert headers["Authorization"] == "Bearer the key"
    assert not (machine.home / "root").exists()


def test_one_that_somebody_changed_is_set_by_the_job_again(
    one_machine: Machine, free_port: int
) -> None:
    machine, now = one_machine, one_machine.home / "now"
    root = machine.home / "root"
    now.write_text("1000\n")
    machine.program("sysctl", f"cat {quoted(now)}")
    machine.program("sudo", f'echo asked "$@" >{quoted(root)}; echo 57344 >{quoted(now)}')
    done = machine.run("wired-limit", *LIMIT, free_port, machine.home / "no-key")

    assert (done.returncode, done.stderr) == (0, "")
    assert root.read_text() == f"asked -n /bin/launchctl kickstart {LIMIT[1]}\n"


def test_one_that_does_not_come_is_an_error_with_both_values(one_machine: Machine) -> None:
    one_machine.program("sysctl", "echo 0")
    one_machine.program("sudo", ":")
    done = one_machine.run("wired-limit", *LIMIT, 1, "/none")

    assert done.returncode == 1
    assert "iogpu.wired_limit_mb is 0 still, not 57344" in done.stderr


PRINTED = "system/x = {\n\tstate = %s\n\truns = 2\n%s}\n"


@pytest.mark.parametrize(
    ("first", "then", "code", "told"),
    [
        ("not running", "0", 0, ""),
        ("spawn scheduled", "0", 0, ""),
        ("running", "0", 0, ""),
        ("running", "1", 1, "last exit code = 1"),
        ("not running", "78: EX_CONFIG", 1, "last exit code = 78: EX_CONFIG"),
        ("running", None, 1, "system/x does not end"),
    ],
)
def test_a_job_that_ends_is_awaited(
    one_machine: Machine, first: str, then: str | None, code: int, told: str
) -> None:
    """Its last exit code is that of the run before until it has ended again."""
    pid = "\tpid = 7\n" if first == "running" else ""
    now, later = one_machine.home / "now", one_machine.home / "later"
    now.write_text(PRINTED % (first, f"{pid}\tlast exit code = {then or 0}\n"))
    if then is not None:
        later.write_text(PRINTED % ("not running", f"\tlast exit code = {then}\n"))
    one_machine.program(
        "launchctl",
        f"cat {quoted(now)}; [ ! -f {quoted(later)} ] || mv {quoted(later)} {quoted(now)}",
    )
    one_machine.program("sudo", f'echo asked "$@" >{quoted(one_machine.home / "root")}')
    done = one_machine.run("root-job-run", "system/x")

    assert done.returncode == code
    assert (one_machine.home / "root").read_text() == "asked -n /bin/launchctl kickstart system/x\n"
    assert told in done.stderr
