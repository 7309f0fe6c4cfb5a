"""The Mac's settings: each tool's words come apart, and a change is noted before it is made."""

from pathlib import Path

from herd.facts.mac_settings import parse
from tests.core.mac import test_power, test_software_updates
from tests.scripts.conftest import Machine, quoted

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
