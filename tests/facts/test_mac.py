"""What kind of Mac it is: the answer of scripts/look/mac.sh.

The values in it are from documentation (sw_vers, sysctl, df of macOS 26 on Apple Silicon).
"""

import pytest
from pyinfra.api import FactProcessError

from herd.core.mac.mac import Identity, sleeps
from herd.core.mac.volumes import Place
from herd.facts.mac import Mac, parse

GOOD = [
    "uid\t501",
    "user\tme",
    "home\t/Users/me",
    "system\tDarwin",
    "arch\tarm64",
    "macos\t26.1",
    "chip\tApple M4 Max",
    "memory\t68719476736",
    "wired\t0",
    "device\tAvailable devices:",
    "device\t  MTL0: Apple M4 Max (53084 MiB, 53084 MiB free)",
    "device\t  BLAS: Accelerate (0 MiB, 0 MiB free)",
    "tools\tyes",
    "console\tyes",
    "brew\tyes",
    "writable\tyes",
    "disk\t/dev/disk3s5   971350180 612345678 359004502    64%    /System/Volumes/Data",
]


def without(*keys: str) -> list[str]:
    return [line for line in GOOD if line.partition("\t")[0] not in keys]


def test_a_mac_with_everything() -> None:
    assert parse(GOOD) == Identity(
        uid=501,
        user="me",
        home="/Users/me",
        system="Darwin",
        arch="arm64",
        macos=(26, 1),
        chip="Apple M4 Max",
        memory=68719476736,
        command_line_tools=True,
        console=True,
        brew=True,
        sudo=None,
        writable=True,
        disk_free=359004502 * 1024,
        wired_limit=0,
        gpu_memory=53084 << 20,
    )


def test_a_bare_mac_of_which_nobody_is_at_the_console() -> None:
    found = parse(without("tools", "console", "brew", "writable"))

    assert not found.command_line_tools
    assert not found.console
    assert not found.brew
    assert not found.writable
    assert found.sudo is False


@pytest.mark.parametrize(
    ("lines", "wired", "gpu"),
    [
        (["wired\t"], None, None),
        (["wired\t0"], 0, None),
        (["wired\t57344"], 57344 << 20, None),
        (["device\tAvailable devices:", "device\t  (none)"], None, None),
        (["device\t  Metal: Apple M1 (10922 MiB, 10900 MiB free)"], None, 10922 << 20),
        (["device\t  RPC0: other:50052 (99999 MiB, 99999 MiB free)"], None, None),
        (["device\t  MTL0: Apple M1 (Pro) (10 MiB, 9 MiB free)"], None, 10 << 20),
    ],
)
def test_what_the_gpu_may_wire(lines: list[str], wired: int | None, gpu: int | None) -> None:
    found = parse([*without("wired", "device"), *lines])

    assert (found.wired_limit, found.gpu_memory) == (wired, gpu)


def test_sudo_counts_only_where_homebrew_is_missing() -> None:
    assert parse([*without("brew"), "sudo\tyes"]).sudo is True
    assert parse([*GOOD, "sudo\tyes"]).sudo is None


def test_what_is_no_mac_is_told_by_its_system() -> None:
    """Linux has neither sw_vers nor these sysctls: the script leaves their values empty."""
    found = parse(
        [
            *without("system", "macos", "chip", "memory", "wired", "device"),
            "system\tLinux",
            "macos\t",
            "memory\t",
            "chip\t",
            "wired\t",
        ]
    )

    assert (found.system, found.macos, found.memory, found.chip) == ("Linux", (), 0, "")


@pytest.mark.parametrize(
    "line",
    [
        "/dev/disk3s5   971350180 612345678 1024    64%    /System/Volumes/Data",
        "map auto home 10 0 1024 0% /System/Volumes/Data/home",
        "//me@server/My Share 999 998 1024 100% /Volumes/My Share 100%",
    ],
)
def test_free_space_is_found_beside_names_with_spaces(line: str) -> None:
    assert parse([*without("disk"), f"disk\t{line}"]).disk_free == 1024 * 1024


def test_free_space_that_cannot_be_read_is_none_at_all() -> None:
    assert parse([*without("disk"), "disk\t"]).disk_free == 0


def test_a_home_loses_its_slash_at_the_end() -> None:
    assert parse([*without("home"), "home\t/Users/me/"]).home == "/Users/me"


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["Last login: yesterday"],
        without("uid"),
        without("disk"),
        [*without("uid"), "uid\tme"],
        [*without("memory"), "memory\ta lot"],
        [*without("wired"), "wired\ta lot"],
    ],
)
def test_garbage_fails_this_host_only(lines: list[str]) -> None:
    with pytest.raises(FactProcessError, match="did not say what it is"):
        parse(lines)


def test_lines_of_a_login_greeting_do_not_matter() -> None:
    assert parse(["Welcome!", *GOOD, ""]) == parse(GOOD)


def test_the_question_quotes_its_paths() -> None:
    command = Mac().command(root="~/it's", homebrew_prefix="/opt/my brew").get_raw_value()

    assert command.endswith("""mac '~/it'"'"'s' '/opt/my brew'""")


DYLD = "dyld[412]: Library not loaded: /opt/homebrew/opt/ggml/lib/libggml.0.dylib"
OLD = "dyld[412]: Symbol not found: _posix_spawn_file_actions_addchdir"
NONE = "ggml: no backends are loaded. hint: use ggml_backend_load() or ggml_backend_load_all()"


@pytest.mark.parametrize(
    ("code", "said", "fault"),
    [
        ("134", [DYLD, "  Referenced from: <1F> /opt/x", "  Reason: tried"], f"{DYLD} (signal 6)"),
        ("134", [OLD, "Abort trap: 6"], f"{OLD} (signal 6)"),
        ("137", [], "signal 9"),
        ("137", ["sh: line 1: 77 Killed: 9  llama-server"], None),
        ("126", ["sh: llama-server: Bad CPU type in executable"], None),
        ("127", ["sh: bad interpreter: No such file or directory"], None),
        ("1", [NONE], NONE),
        ("0", ["Available devices:"], "no device to compute on: it finds no backend of ggml"),
        ("0", ["Available devices:", "  (none)", ""], None),
    ],
)
def test_why_a_llama_server_cannot_run(code: str, said: list[str], fault: str | None) -> None:
    lines = [*without("device"), f"devices\t{code}", *(f"device\t{line}" for line in said)]
    found = parse(lines).server_fault

    assert found is not None
    if fault:
        assert found == fault
    elif code != "0":
        assert found.startswith(said[0])


@pytest.mark.parametrize(
    "lines",
    [
        GOOD,
        without("device"),
        [*GOOD, "devices\t0"],
        [*without("device"), "devices\t0", "device\tAvailable devices:", "device\t  BLAS: x"],
        [*without("device"), "devices\t1", "device\terror: invalid argument: --list-devices"],
    ],
)
def test_what_runs_has_no_fault(lines: list[str]) -> None:
    assert parse(lines).server_fault is None


def test_where_a_stack_leads_and_on_what_volume() -> None:
    lines = [
        "place\t",
        "place\tstack_root",
        "path\t/Users/me/llama-swap",
        "on\t/dev/disk3s5   971350180 612345678 359004502    64%    /System/Volumes/Data",
        "place\t/models",
        "path\t/Volumes/My Disk/models",
        "on\t//me@server/My Share 999 998 1024 100% /Volumes/My Disk",
        "mount\t/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled, nobrowse, protect)",
        "mount\t//me@server/My%20Share on /Volumes/My Disk (smbfs, nodev, nosuid, mounted by me)",
        "mount\tmap auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)",
    ]
    assert parse([*GOOD, *lines]).places == (
        Place("stack_root", "/Users/me/llama-swap", "/System/Volumes/Data", "apfs"),
        Place("models", "/Volumes/My Disk/models", "/Volumes/My Disk", "smbfs"),
    )


@pytest.mark.parametrize(
    ("line", "minutes", "told"),
    [
        ("sleep\t1", 1, 'after a minute without a user; mac_sleep = "never"'),
        ("sleep\t10", 10, "after 10 minutes without a user; "),
        ("sleep\t0", 0, ""),
        ("sleep\t", 0, ""),
    ],
)
def test_when_it_sleeps(line: str, minutes: int, told: str) -> None:
    assert parse([*GOOD, line]).sleep == minutes
    assert (sleeps(minutes) or "").startswith(told)
