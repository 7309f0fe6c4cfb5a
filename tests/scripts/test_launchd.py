"""job-unload, job-load and job-start, against a launchctl that is as asynchronous as launchd's.

Its texts and exit codes are from published captures (macOS 14 to 26).
"""

from pathlib import Path

import pytest

from herd.facts.launchd import Unread
from tests.scripts.conftest import Machine, quoted

TARGET = "gui/501/com.example.job"

# State is in files: `loaded` and `started`; `leaving` counts how often `print` still finds a job
# that was booted out, `wait` how often it shows no process yet, `refuse` bootstraps that fail.
LAUNCHCTL = r"""
cd STATE
echo "$*" >>calls
less() { n=$(cat "$1" 2>/dev/null || echo 0); [ "$n" -gt 0 ] || return 1; echo $((n - 1)) >"$1"; }
case $1 in
  bootout)
    [ -e loaded ] || { echo "Boot-out failed: 3: No such process" >&2; exit 3; }
    [ -e leaving ] || echo 3 >leaving ;;
  print)
    if [ -e leaving ] && ! less leaving; then rm -f loaded leaving; fi
    [ -e loaded ] || { echo "Bad request."; echo 'Could not find service "x"' >&2; exit 113; }
    printf '%s = {\n\tstate = running\n\truns = 7\n' "$2"
    if [ -e started ] && ! less wait; then printf '\tpid = 42\n'
    else printf '\tlast exit code = 78: EX_CONFIG\n'; fi
    printf '\tresource coalition = {\n\t\tpid = 1\n\t}\n}\n' ;;
  bootstrap)
    if [ -e loaded ] || less refuse; then
      echo "Bootstrap failed: 5: Input/output error" >&2
      echo "Try re-running the command as root for richer errors." >&2
      exit 5
    fi
    : >loaded ;;
  kickstart)
    [ -e loaded ] || { echo 'Could not find service "x" in domain' >&2; exit 113; }
    : >started ;;
esac
"""


@pytest.fixture
def state(machine: Machine) -> Path:
    """What launchd knows, with a launchctl that acts on it, and a plutil that accepts."""
    path = machine.home / "launchd"
    path.mkdir()
    machine.program("launchctl", LAUNCHCTL.replace("STATE", quoted(path)))
    machine.program("plutil", 'case $(cat "$2") in good) ;; *) echo "$2: bad"; exit 1 ;; esac')
    return path


@pytest.fixture
def plist(machine: Machine) -> Path:
    path = machine.home / "it's my job.plist"
    path.write_text("good")
    return path


def calls(state: Path) -> list[str]:
    return (state / "calls").read_text().splitlines() if (state / "calls").exists() else []


# -- Somebody logs out in the middle


GONE = [
    ("Bootstrap failed: 125: Domain does not support specified action", 125),
    ("Could not find domain for user gui: 501", 112),
]


@pytest.mark.parametrize(("said", "code"), GONE)
def test_a_session_that_is_gone_is_told_in_words_at_once(
    machine: Machine, state: Path, plist: Path, said: str, code: int
) -> None:
    gone = f"case $1 in bootstrap) echo '{said}' >&2; exit {code} ;; esac"
    machine.program("launchctl", f"{gone}\n{(machine.bin / 'launchctl').read_text()}")
    done = machine.run("job-load", "gui/501", "com.example.job", plist)

    assert done.returncode == 1
    assert done.stderr.startswith("Nobody is logged in at this Mac's screen any more")
    assert said in done.stderr
    assert not (state / "loaded").exists()


def test_a_session_that_is_gone_at_the_start_is_told_too(machine: Machine, state: Path) -> None:
    said = 'Could not kickstart service "x": 125: Domain does not support specified action'
    machine.program("launchctl", f"echo '{said}' >&2; exit 125")
    done = machine.run("job-start", TARGET, "/dev/null")

    assert done.returncode == 1
    assert done.stderr.startswith("Nobody is logged in at this Mac's screen any more")
    assert done.stderr.endswith(f"{said}\n")


# -- What a job may read


# It runs the job at once, and keeps how that ended.
RUNNER = r"""
case $1 in
  bootstrap)
    [ ! -e "$HOME/headless" ] || exit 125
    python3 - "$3" <<'END'
import os, plistlib, subprocess, sys
job = plistlib.load(open(sys.argv[1], "rb"))
assert job["RunAtLoad"]
code = subprocess.run(job["ProgramArguments"]).returncode
open(os.environ["HOME"] + "/code", "w").write(str(code))
END
    ;;
  print) printf 'x = {\n\tlast exit code = %s\n}\n' "$(cat "$HOME/code")" ;;
  bootout) echo "$2" >>"$HOME/gone" ;;
esac
"""


def test_what_a_job_may_not_read_is_told(machine: Machine) -> None:
    machine.program("launchctl", RUNNER)
    good, bad = machine.home / "it's <good> & well", machine.home / "bad"
    good.mkdir()
    bad.mkdir()
    # Even root may be refused by macOS's privacy.
    machine.program("ls", 'case $1 in */bad) echo "Operation not permitted" >&2; exit 1 ;; esac')

    def denied(*directories: Path) -> list[str]:
        done = machine.run("job-reads", 501, *directories)
        assert (done.returncode, done.stderr) == (0, "")
        return Unread().process(done.stdout.splitlines())

    assert denied(good) == []
    assert denied(good, bad / "not there/yet") == [str(bad)]
    assert denied(bad, good) == [str(bad)]
    assert len((machine.home / "gone").read_text().splitlines()) == 3
    assert not list(machine.home.parent.glob("herd-probe*"))
    (machine.home / "headless").touch()
    assert denied(bad) == []


# -- Unload


def test_an_unloaded_job_is_gone_when_the_script_ends(machine: Machine, state: Path) -> None:
    """bootout returns at once: the job is there for three more looks."""
    (state / "loaded").touch()
    done = machine.run("job-unload", TARGET, 20)

    assert (done.returncode, done.stderr) == (0, "")
    assert not (state / "loaded").exists()
    assert calls(state) == [f"bootout {TARGET}", *[f"print {TARGET}"] * 4]


def test_a_job_that_is_not_loaded_need_not_be_unloaded(machine: Machine, state: Path) -> None:
    assert machine.run("job-unload", TARGET, 20).returncode == 0


def test_a_job_that_stays_fails_after_the_limit_with_the_reason(
    machine: Machine, state: Path
) -> None:
    (state / "loaded").touch()
    (state / "leaving").write_text("999")
    done = machine.run("job-unload", TARGET, 2)

    assert done.returncode == 1
    assert f"{TARGET} is still going away after 2 s." in done.stderr


# -- Load


def load(machine: Machine, plist: Path) -> tuple[int, str]:
    done = machine.run("job-load", "gui/501", "com.example.job", plist)
    return done.returncode, done.stderr


def test_a_job_is_enabled_and_loaded(machine: Machine, state: Path, plist: Path) -> None:
    """One that was disabled in System Settings could not be loaded."""
    assert load(machine, plist) == (0, "")
    assert calls(state) == [f"enable {TARGET}", f"bootstrap gui/501 {plist}"]


def test_a_refused_load_is_tried_again(machine: Machine, state: Path, plist: Path) -> None:
    (state / "refuse").write_text("5")

    assert load(machine, plist) == (0, "")
    assert (state / "loaded").exists()


def test_a_load_that_fails_for_good_says_what_launchctl_says(
    machine: Machine, state: Path, plist: Path
) -> None:
    (state / "refuse").write_text("999")
    code, said = load(machine, plist)

    assert code == 1
    assert said.startswith("Bootstrap failed: 5: Input/output error\n")
    assert len([call for call in calls(state) if call.startswith("bootstrap")]) == 15


def test_a_job_that_is_loaded_already_will_do(machine: Machine, state: Path, plist: Path) -> None:
    (state / "loaded").touch()

    assert load(machine, plist) == (0, "")


def test_a_bad_property_list_is_not_loaded(machine: Machine, state: Path, plist: Path) -> None:
    plist.write_text("bad")
    code, said = load(machine, plist)

    assert code == 1
    assert said == f"{plist}: bad\n"
    assert calls(state) == []


# -- Start


def test_a_start_ends_when_there_is_a_process(machine: Machine, state: Path) -> None:
    (state / "loaded").touch()
    (state / "wait").write_text("3")
    done = machine.run("job-start", TARGET, machine.home / "job.log")

    assert (done.returncode, done.stderr) == (0, "")
    assert calls(state) == [f"kickstart {TARGET}", *[f"print {TARGET}"] * 4]


def test_a_job_that_does_not_start_fails_with_its_state_and_the_end_of_its_log(
    machine: Machine, state: Path
) -> None:
    (state / "loaded").touch()
    (state / "wait").write_text("999")
    log = machine.home / "my job.log"
    log.write_text("".join(f"line {n}\n" for n in range(100)))
    done = machine.run("job-start", TARGET, log)

    assert done.returncode == 1
    assert done.stderr.splitlines()[:4] == [
        f"{TARGET} does not start:",
        "\tstate = running",
        "\truns = 7",
        "\tlast exit code = 78: EX_CONFIG",
    ]
    assert done.stderr.endswith("line 99\n")
    assert done.stderr.count("line ") == 15


def test_a_job_that_is_not_loaded_cannot_be_started(machine: Machine, state: Path) -> None:
    done = machine.run("job-start", TARGET, "/dev/null")

    assert done.returncode == 1
    assert "Could not find service" in done.stderr


# -- Agents


def test_our_jobs_are_found_by_what_their_property_lists_hold(machine: Machine) -> None:
    agents = machine.home / "Library" / "LaunchAgents"
    agents.mkdir(parents=True)
    (agents / "com.a.one.plist").write_text("<key>HERD</key><string>/Users/me/a b/x</string>")
    (agents / "com.a.two.plist").write_text("<key>HERD</key><string>/Users/me/c/x</string>")
    (agents / "com.b.other.plist").write_text("<string>/Users/me/a b/x</string>")
    done = machine.run("agents", "HERD", "<string>/Users/me/a b/")

    assert (done.returncode, done.stderr, done.stdout) == (0, "", "Agents\tcom.a.one\n")


def test_where_there_are_no_jobs_none_are_found(machine: Machine) -> None:
    assert machine.run("agents", "HERD").stdout == ""
    (machine.home / "Library" / "LaunchAgents").mkdir(parents=True)
    assert machine.run("agents", "HERD").stdout == ""


# -- The system's domain, which is root's

SYSTEM = "system/com.example.job"
PASSWORD = "sudo: a password is required"


@pytest.fixture
def root(machine: Machine, state: Path) -> Path:
    """A sudo that lets /bin/launchctl act as the one on PATH."""
    says = (
        f'echo "sudo $*" >>{quoted(state / "calls")}; [ "$1 $2" = "-n /bin/launchctl" ] || exit 9'
    )
    machine.program("sudo", f'{says}; shift 2; exec launchctl "$@"')
    return state


def test_a_daemon_is_loaded_started_and_unloaded_as_root(
    machine: Machine, root: Path, plist: Path
) -> None:
    assert machine.run("job-load", "system", "com.example.job", plist).returncode == 0
    assert machine.run("job-start", SYSTEM, "/dev/null").returncode == 0
    assert machine.run("job-unload", SYSTEM, 20).returncode == 0

    assert [call for call in calls(root) if call.startswith("sudo")] == [
        f"sudo -n /bin/launchctl enable {SYSTEM}",
        f"sudo -n /bin/launchctl bootstrap system {plist}",
        f"sudo -n /bin/launchctl kickstart {SYSTEM}",
        f"sudo -n /bin/launchctl bootout {SYSTEM}",
    ]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("job-load", ("system", "com.example.job", "PLIST")),
        ("job-start", (SYSTEM, "/dev/null")),
        ("job-unload", (SYSTEM, 20)),
    ],
)
def test_who_may_not_is_told_at_once(
    machine: Machine, state: Path, plist: Path, script: str, words: tuple[object, ...]
) -> None:
    (state / "loaded").touch()
    machine.program("sudo", f"echo '{PASSWORD}' >&2; exit 1")
    done = machine.run(script, *(plist if word == "PLIST" else word for word in words))

    assert done.returncode == 1
    assert "`make sudoers` prints the rule" in done.stderr
    assert done.stderr.endswith(f"{PASSWORD}\n")
    assert (state / "loaded").exists()
    assert len(calls(state)) <= 1


def test_what_is_not_loaded_is_unloaded_without_root(machine: Machine, state: Path) -> None:
    machine.program("sudo", f"echo '{PASSWORD}' >&2; exit 1")

    assert machine.run("job-unload", SYSTEM, 20).returncode == 0


def test_an_agent_that_a_browser_brought_is_freed_before_it_is_loaded(
    machine: Machine, state: Path, plist: Path
) -> None:
    """launchd of macOS 27 passes over it."""
    machine.program("xattr", f'echo "xattr $*" >>{quoted(state / "calls")}')

    assert load(machine, plist) == (0, "")
    assert calls(state)[0] == f"xattr -d com.apple.quarantine {plist}"


def test_a_start_is_awaited_by_its_digest(machine: Machine) -> None:
    noted = machine.home / "it's started"
    noted.write_text("old\nvirtual 0\n")
    late = machine.run("await-start", noted, "new", 1)
    noted.write_text("new\nvirtual 0\n")

    assert late.returncode == 1
    assert "has not noted its start" in late.stderr
    assert machine.run("await-start", noted, "new", 1).returncode == 0


def test_how_a_daemon_started_is_read_with_what_launchd_would_pass_over(machine: Machine) -> None:
    noted, brought = machine.home / "started", machine.home / "brought.plist"
    noted.write_text("digest\nvirtual 0\n")
    machine.program("xattr", f'[ "$1 $2 $3" = "-p com.apple.quarantine {brought}" ]')

    assert machine.run("daemon", "/x.plist", noted).stdout == "started\ndigest\nvirtual 0\n"
    assert machine.run("daemon", brought, noted).stdout.startswith("quarantined\nstarted\n")
    assert machine.run("daemon", "/x.plist", "/nowhere").stdout == "started\n"
