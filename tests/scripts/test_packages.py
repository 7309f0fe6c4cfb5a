"""What asks Homebrew and the Mac itself, with small programs in their place."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from herd.core.mac.packages import Link
from herd.facts import brew, mac, programs
from tests.scripts.conftest import Machine, Server, quoted


@pytest.fixture
def machine(one_machine: Machine) -> Machine:
    """One shell will do."""
    return one_machine


@pytest.fixture
def prefix(machine: Machine) -> Path:
    """Where Homebrew is, which is not on PATH, as with an SSH command."""
    path = machine.home / "opt" / "my brew"
    (path / "bin").mkdir(parents=True)
    return path


def homebrew(prefix: Path, text: str) -> None:
    program = prefix / "bin" / "brew"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


# -- brew.sh


def test_brew_gets_its_arguments_a_path_and_no_input(machine: Machine, prefix: Path) -> None:
    homebrew(prefix, 'printf "%s|" "$@"; cat; echo "$PATH"; env | grep ^HOMEBREW | sort')
    done = machine.run("brew", prefix, 0, "install", "python@3.13", "it's", stdin="an answer\n")

    first, *variables = done.stdout.splitlines()
    path = f"{prefix}/bin:{prefix}/sbin:{machine.environment['PATH']}"
    assert first == f"install|python@3.13|it's|{path}"
    assert variables == [
        f"HOMEBREW_{name}=1"
        for name in (
            "NO_ANALYTICS",
            "NO_ASK",
            "NO_ENV_HINTS",
            "NO_INSTALL_CLEANUP",
            "NO_INSTALL_UPGRADE",
        )
    ]


def test_a_failure_of_brew_is_told(machine: Machine, prefix: Path) -> None:
    homebrew(prefix, "echo 'Error: no' >&2; exit 3")
    done = machine.run("brew", prefix, 0, "install", "x")

    assert (done.returncode, done.stdout) == (3, "Error: no\n")


def test_what_brew_says_is_told_as_it_comes(machine: Machine, prefix: Path, tmp_path: Path) -> None:
    """Some awks wait for a block of 4 KiB, or for the end."""
    go_on = tmp_path / "go-on"
    waiting = f"n=0; until [ -e {quoted(go_on)} ] || [ $((n += 1)) -gt 200 ]; do sleep 0.1; done"
    homebrew(prefix, f"echo '==> Fetching uv'; {waiting}; [ $n -gt 200 ] || printf last")
    process = machine.start("brew", prefix, 0, "install", "uv")
    assert process.stdout
    first = process.stdout.readline()
    go_on.touch()

    assert (first, process.stdout.read()) == ("==> Fetching uv\n", "last\n")


def test_what_else_is_already_running_is_told(machine: Machine, prefix: Path) -> None:
    """It may be why a formula cannot be installed."""
    homebrew(prefix, "echo 'Error: a server process is already running' >&2; exit 1")

    told = machine.run("brew", prefix, 0, "install", "x").stdout
    assert told == "Error: a server process is already running\n"


LOCKED = """echo "Error: A \\`brew $*\\` process has already locked $0." >&2
echo 'Please wait for it to finish or terminate it to continue.' >&2
exit 1"""
HOLDERS = [
    "/opt/homebrew/Library/Homebrew/vendor/portable-ruby/current/bin/ruby -W1 --disable=gems"
    " /opt/homebrew/Library/Homebrew/brew.rb upgrade llama.cpp",
    "/bin/bash -p /opt/homebrew/bin/brew upgrade llama.cpp",
]


@pytest.mark.parametrize("holder", HOLDERS)
def test_while_another_homebrew_has_the_lock_it_is_waited_for(
    machine: Machine, prefix: Path, holder: str
) -> None:
    homebrew(
        prefix, f'echo x >>"$HOME/tries"; [ "$(wc -l <"$HOME/tries")" -gt 3 ] && exit\n{LOCKED}'
    )
    machine.program("ps", f"echo '  1 root /sbin/launchd'; echo '77 ben {holder}'")
    done = machine.run("brew", prefix, 60, "install", "uv")

    assert done.returncode == 0, done.stdout
    word = "waiting for Homebrew's lock, which is held by `brew upgrade llama.cpp` (pid 77, of ben)"
    assert done.stdout.splitlines() == [word], "and once, however often Homebrew says so"


@pytest.mark.parametrize(
    ("listing", "who"),
    [
        ("77 ben /opt/homebrew/bin/brew update", "`brew update` (pid 77, of ben)"),
        ("", "another Homebrew"),
    ],
)
def test_in_the_end_it_is_told_who_has_the_lock(
    machine: Machine, prefix: Path, listing: str, who: str
) -> None:
    homebrew(prefix, LOCKED)
    machine.program("ps", f"echo '{listing}'")
    done = machine.run("brew", prefix, 0, "install", "uv")

    assert done.returncode == 1
    assert f"After 0 s Homebrew's lock is still held by {who}." in done.stderr


def test_it_does_not_take_itself_for_the_holder(machine: Machine, prefix: Path) -> None:
    homebrew(prefix, LOCKED)
    text = " ".join(machine.command("brew", prefix, 0, "install", "uv")).replace("\n", " ")
    listing = machine.home / "listing"
    listing.write_text(f"77 me {text}\n")
    machine.program("ps", f"cat {listing}")

    assert "held by another Homebrew." in machine.run("brew", prefix, 0, "install", "uv").stderr


# -- packages.sh


def packages(machine: Machine, prefix: Path) -> brew.Packages | None:
    done = machine.run("packages", prefix)
    assert (done.returncode, done.stderr) == (0, "")
    return brew.parse(done.stdout.splitlines())


def test_homebrews_state_is_told_in_one_answer(machine: Machine, prefix: Path) -> None:
    homebrew(
        prefix,
        'case "$*" in --version) echo Homebrew 6.0.18 ;; "list --versions") echo hf 2.4 ;;\n'
        '\'trust --json=v1\') printf \'{\\n "taps": ["a/b"], "formulae": []\\n}\\n\' ;; esac',
    )

    assert packages(machine, prefix) == brew.Packages((6, 0, 18), {"hf": "2.4"}, frozenset({"a/b"}))


def test_an_older_homebrew_refuses_to_speak_of_trust(machine: Machine, prefix: Path) -> None:
    homebrew(
        prefix,
        'case "$*" in --version) echo Homebrew 5.1 ;; list*) ;;\n'
        '*) echo "Error: Unknown command: brew trust" >&2; exit 1 ;; esac',
    )

    assert packages(machine, prefix) == brew.Packages((5, 1), {}, None)


def test_without_homebrew_nothing_is_told(machine: Machine, prefix: Path) -> None:
    assert packages(machine, prefix) is None


# -- outdated.sh


def test_what_is_outdated_is_told_although_brew_exits_1_then(
    machine: Machine, prefix: Path
) -> None:
    homebrew(
        prefix,
        'case $1 in update) echo Updating ;; *) echo "$@" >&2; echo "{}"; exit 1 ;; esac',
    )
    done = machine.run("outdated", prefix, 0, "hf", "a/b/c")

    assert (done.returncode, done.stdout) == (0, "{}\n")
    assert done.stderr == "outdated --json=v2 --formula hf a/b/c\n"


def test_without_an_answer_nothing_is_current(machine: Machine, prefix: Path) -> None:
    why = "fatal: unable to access 'https://github.com/mostlygeek/homebrew-llama-swap/': no route"
    homebrew(prefix, f"""case $1 in update) echo "{why}" >&2; exit 1 ;; *) echo "{{}}" ;; esac""")
    done = machine.run("outdated", prefix, 0, "hf")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Homebrew could not ask what is new. It says:\n{why}\n"


def test_another_update_is_waited_for(machine: Machine, prefix: Path) -> None:
    text = f'echo x >>"$HOME/tries"; [ "$(wc -l <"$HOME/tries")" -gt 2 ] || {{ {LOCKED}; }}; exit 0'
    homebrew(prefix, f'case $1 in update) {text} ;; *) echo "{{}}" ;; esac')

    assert machine.run("outdated", prefix, 60, "hf").stdout == "{}\n"
    (machine.home / "tries").unlink()
    assert "already locked" in machine.run("outdated", prefix, 0, "hf").stderr


# -- programs.sh


def test_what_homebrews_bin_has(machine: Machine, prefix: Path) -> None:
    keg = prefix / "Cellar/llama.cpp/0.9.0/bin"
    keg.mkdir(parents=True)
    (keg / "llama-server").touch()
    target = "../Cellar/llama.cpp/0.9.0/bin/llama-server"
    (prefix / "bin/llama-server").symlink_to(target)
    (prefix / "bin/uv").symlink_to("../Cellar/uv/0.1/bin/uv")
    (prefix / "bin/hf").touch()
    names = ["llama-server", "uv", "hf", "python3.13"]
    done = machine.run("programs", prefix, *names)

    assert (done.returncode, done.stderr) == (0, "")
    found = programs.parse(done.stdout.splitlines())
    gone = Link("../Cellar/uv/0.1/bin/uv", whole=False)
    assert found.links == {"llama-server": Link(target), "uv": gone, "hf": Link("")}
    assert {folder.path for folder in found.folders} == {f"{prefix}/Cellar", f"{prefix}/bin"}
    assert found.groups
    assert found.closed_to(os.getuid()) is None


# -- install-homebrew.sh


@pytest.mark.parametrize(("works", "code"), [(True, 0), (False, 1)])
def test_the_installer_runs_unattended_and_must_leave_a_brew(
    machine: Machine, prefix: Path, serve: Callable[..., Server], works: bool, code: int
) -> None:
    brew = prefix / "bin" / "brew"
    text = f'echo "unattended=$NONINTERACTIVE"; {f"cp /bin/sh {quoted(brew)}" if works else ":"}'
    server = serve(lambda path, request: (200, text.encode()))
    done = machine.run("install-homebrew", prefix, f"{server.url}/install.sh")

    assert done.returncode == code
    assert done.stdout == "unattended=1\n"
    assert done.stderr == ("" if works else f"The installer left no {brew}.\n")
    assert not list(machine.home.parent.glob("homebrew.*"))


def test_an_installer_that_cannot_be_had_is_not_run(
    machine: Machine, prefix: Path, serve: Callable[..., Server]
) -> None:
    server = serve(lambda path, request: (404, b"echo ran"))
    done = machine.run("install-homebrew", prefix, f"{server.url}/install.sh")

    assert done.returncode != 0
    assert "ran" not in done.stdout
    assert "404" in done.stderr


# -- mac.sh


@pytest.fixture
def macos(machine: Machine) -> Machine:
    """The commands of a Mac that the script asks (from documentation)."""
    machine.program("uname", "case $1 in -s) echo Darwin ;; -m) echo arm64 ;; esac")
    machine.program("sw_vers", "echo 26.1")
    machine.program(
        "sysctl",
        "case $2 in hw.memsize) echo 68719476736 ;; iogpu.wired_limit_mb) echo 0 ;; "
        "*) echo Apple M4 Max ;; esac",
    )
    machine.program("xcode-select", "echo /Library/Developer/CommandLineTools")
    machine.program("launchctl", 'case "$*" in "print gui/"*) exit 0 ;; esac; exit 64')
    machine.program("sudo", "echo 'sudo: a password is required' >&2; exit 1")
    return machine


def identity(machine: Machine, root: object, prefix: Path) -> mac.Identity:
    done = machine.run("mac", root, prefix)
    assert (done.returncode, done.stderr) == (0, "")
    return mac.parse(done.stdout.splitlines())


def test_a_mac_tells_everything_at_once(macos: Machine, prefix: Path) -> None:
    homebrew(prefix, "")
    found = identity(macos, "~/my stack/deep/below", prefix)

    assert (found.system, found.arch, found.macos) == ("Darwin", "arm64", (26, 1))
    assert (found.chip, found.memory) == ("Apple M4 Max", 68719476736)
    assert found.home == str(macos.home)
    assert (found.command_line_tools, found.console, found.brew) == (True, True, True)
    assert found.sudo is None
    assert found.writable
    assert found.disk_free > 0
    assert (found.wired_limit, found.gpu_memory) == (0, None)


@pytest.mark.parametrize(
    ("rows", "minutes"),
    [
        (" Sleep On Power Button 1\\n sleep                1 (sleep prevented by powerd)", 1),
        (" sleep                0\\n displaysleep         10", 0),
        (" SleepDisabled\t\t1\\nCurrently in use:\\n sleep                5", 0),
    ],
)
def test_when_it_sleeps(macos: Machine, prefix: Path, rows: str, minutes: int) -> None:
    """Rows of Apple's pmset.m."""
    macos.program("pmset", f"printf 'System-wide power settings:\\n{rows}\\n'")

    assert identity(macos, "~/x", prefix).sleep == minutes


def test_where_links_lead_is_told_though_nothing_is_there(macos: Machine, prefix: Path) -> None:
    """As to a volume that is not mounted."""
    volumes = macos.home / "Volumes"
    volumes.mkdir()
    stack = macos.home / "stack"
    stack.mkdir()
    (macos.home / "disk").symlink_to("Volumes/Fast")
    (stack / "models").symlink_to("../disk/all models")
    found = identity(macos, "~/stack", prefix)
    assert [(place.name, place.path) for place in found.places] == [
        ("stack_root", str(stack)),
        ("models", f"{volumes}/Fast/all models"),
    ]

    found = identity(macos, f"{macos.home}/disk/deep/stack", prefix)
    assert [place.path for place in found.places] == [f"{volumes}/Fast/deep/stack"]


def test_a_llama_server_that_cannot_run_says_why(macos: Machine, prefix: Path) -> None:
    why = "dyld[412]: Library not loaded: /opt/homebrew/opt/ggml/lib/libggml.0.dylib"
    macos.program(f"{prefix}/bin/llama-server", f"echo '{why}' >&2; kill -ABRT $$")
    found = identity(macos, "~/x", prefix)

    assert found.server_fault == f"{why} (signal 6)"


def test_an_installed_llama_server_tells_what_the_gpu_may_wire(
    macos: Machine, prefix: Path
) -> None:
    device = "  MTL0: Apple M4 Max (53084 MiB, 53084 MiB free)"
    text = f"echo 'ggml_metal: words' >&2\ncat >{macos.home}/stdin\necho '{device}'"
    macos.program(f"{prefix}/bin/llama-server", text)
    found = identity(macos, "~/x", prefix)

    assert found.gpu_memory == 53084 << 20
    assert (macos.home / "stdin").read_bytes() == b""


def test_a_llama_server_that_fails_tells_nothing(macos: Machine, prefix: Path) -> None:
    macos.program(f"{prefix}/bin/llama-server", "echo 'dyld: Library not loaded' >&2; exit 134")

    assert identity(macos, "~/x", prefix).gpu_memory is None


def test_what_a_mac_lacks_is_told_without_noise(macos: Machine, prefix: Path) -> None:
    macos.program("xcode-select", "echo 'xcode-select: error: Unable' >&2; exit 2")
    macos.program("launchctl", "echo 'Could not find domain' >&2; exit 112")
    (prefix / "bin").rmdir()
    prefix.rmdir()
    found = identity(macos, "/nowhere/at/all", prefix)

    assert (found.command_line_tools, found.console, found.brew) == (False, False, False)
    assert found.sudo is False


def test_sudo_is_asked_only_where_homebrew_is_missing(macos: Machine, prefix: Path) -> None:
    macos.program("sudo", f"echo asked >>{macos.home}/sudo; exit 0")
    homebrew(prefix, "")
    assert identity(macos, "~/x", prefix).sudo is None
    assert not (macos.home / "sudo").exists()
    found = identity(macos, "~/x", macos.home / "no brew")

    assert found.sudo is True
    assert (macos.home / "sudo").exists()


@pytest.mark.skipif(sys.platform == "darwin", reason="it tells what is no Mac")
def test_what_is_no_mac_answers_as_well(machine: Machine, prefix: Path) -> None:
    for name in ("sw_vers", "stat"):
        (machine.bin / name).unlink(missing_ok=True)
    machine.program("systemctl", "exit 1")
    found = identity(machine, "~/x", prefix)

    assert found.system == "Linux"
    assert (found.macos, found.console) == ((), False)
    assert found.memory > 0
    assert found.folders


def test_a_root_below_a_file_is_not_writable(macos: Machine, prefix: Path) -> None:
    """What matters is the nearest directory that is there."""
    done = macos.run("mac", f"{macos.home}/none/deep", prefix)

    assert "writable\tyes" in done.stdout.splitlines()
    assert (
        subprocess.run(["id", "-u"], capture_output=True, text=True).stdout.strip() in done.stdout
    )
