"""What keeps a Mac from becoming what is wanted: each alone, and all at once."""

import dataclasses
from typing import Any

import pytest

from herd.core.mac.mac import Folder, Identity
from herd.core.mac.preflight import WARNING, Fetch, Needs, Room, problems
from herd.core.models.memory_estimate import Served
from herd.core.models.memory_use import Use
from herd.core.models.model_facts import Facts
from herd.core.text.units import GIB, gib
from tests.core.models.test_gguf import GPT_OSS_120B

GOOD = Identity(
    uid=501,
    user="me",
    home="/Users/me",
    system="Darwin",
    arch="arm64",
    macos=(26, 1),
    chip="Apple M4 Max",
    memory=128 * GIB,
    command_line_tools=True,
    console=True,
    brew=True,
    sudo=None,
    writable=True,
    disk_free=500 * GIB,
)
SAFE = (
    Folder("/", "0755", 0, 0, "root"),
    Folder("/Applications", "0775", 0, 80, "root"),
    Folder("/private/tmp", "1777", 0, 0, "root"),
    Folder("/Users/me", "0750", 501, 20, "me"),
    Folder("/Users/me/llama-swap", "0755", 501, 20, "me"),
)
SHARED = (
    Folder("/Users/me/llama-swap", "0775", 501, 20, "me"),  # staff has every account in it
    Folder("/Users/me/llama-swap", "0757", 501, 20, "me"),
    Folder("/Volumes/Models", "0777", 501, 20, "me"),
    Folder("/Volumes/Models", "0755", 99, 99, "_unknown"),
    Folder("/Users/other", "0755", 502, 20, "other"),
    Folder("/Users/other", "1777", 502, 20, "other"),
)
FETCH = Fetch(
    "big",
    {"big/1.gguf": 30 * GIB, "big/2.gguf": 30 * GIB},
)
NEEDS = Needs(models=[FETCH], memory_reserve=8 * GIB, disk_reserve=10 * GIB, console=True)


def wrong(
    missing: int = 60 * GIB,
    foreign: dict[str, str] | None = None,
    needs: Needs = NEEDS,
    **mac: Any,
) -> list[str]:
    there = dataclasses.replace(GOOD, **mac)
    found = problems(there, needs, Room(missing, there.disk_free), foreign or {})
    assert all(problem.fix.endswith(".") for problem in found)
    return [f"{problem.where}: {problem.what}" for problem in found]


def test_a_good_mac_has_no_problem() -> None:
    assert wrong() == []
    assert wrong(folders=SAFE) == []


@pytest.mark.parametrize(
    ("folder", "fix"),
    [
        (Folder("/a b", "0777", 501, 20, "me"), "run `chmod go-w '/a b'` on the Mac, "),
        (Folder("/srv", "0777", 0, 0, "root"), "run `sudo chmod go-w /srv` on the Mac, "),
        (Folder("/srv", "0755", 502, 20, "ben"), "run `sudo chown me /srv` on the Mac, "),
    ],
)
def test_a_directory_of_others_is_named_with_its_owner_its_mode_and_the_fix(
    folder: Folder, fix: str
) -> None:
    mac = dataclasses.replace(GOOD, folders=(folder,))
    (found,) = problems(mac, NEEDS, Room(0, mac.disk_free), {})

    assert folder.owner in found.what
    assert folder.mode.lstrip("0") in found.what
    assert found.fix.startswith(fix)


@pytest.mark.parametrize(
    ("mac", "words"),
    [
        ({"system": "Linux", "arch": "x86_64"}, "machine: It is Linux on x86_64."),
        ({"arch": "x86_64"}, "machine: It is Darwin on x86_64."),
        ({"macos": (13, 7, 1)}, "macOS: It runs macOS 13.7.1."),
        ({"macos": ()}, "macOS: It runs macOS of an unknown version."),
        *(
            (
                {"folders": (folder,)},
                f"directory {folder.path}: Others may exchange what is in it: ",
            )
            for folder in SHARED
        ),
        ({"uid": 0}, "user: SSH logs in as root, which Homebrew refuses."),
        ({"writable": False}, "stack_root: me may not write there."),
        ({"brew": False, "sudo": False}, "Homebrew: It is missing, and cannot be installed"),
        ({"command_line_tools": False}, "Command Line Tools: They are missing"),
        ({"console": False}, "console: me is not logged in at the console"),
        ({"memory": 64 * GIB}, "memory for big: 60.0 GiB of weights and 8.0 GiB in reserve"),
        ({"memory": 0}, "memory for big: "),
        ({"disk_free": 69 * GIB}, "disk: 60.0 GiB are still to be fetched and 10.0 GiB stay"),
    ],
    ids=str,
)
def test_each_lack_alone_is_one_problem(mac: dict[str, Any], words: str) -> None:
    (found,) = wrong(**mac)

    assert found.startswith(words)


def test_all_problems_come_at_once() -> None:
    found = wrong(
        foreign={"3000 (proxy_port)": "node server.js (pid 7)"},
        macos=(13,),
        uid=0,
        writable=False,
        brew=False,
        sudo=False,
        command_line_tools=False,
        console=False,
        memory=GIB,
        disk_free=GIB,
    )

    assert [line.partition(":")[0] for line in found] == [
        *("macOS", "user", "stack_root", "Homebrew", "console", "memory for big", "disk"),
        "port 3000 (proxy_port)",
    ]


def test_who_holds_a_port_is_named() -> None:
    (found,) = wrong(foreign={"3000 (proxy_port)": "node server.js (pid 7)"})

    assert found == "port 3000 (proxy_port): It is held by node server.js (pid 7)."


def test_nobody_need_be_at_the_console_when_nothing_starts_by_itself() -> None:
    assert wrong(needs=dataclasses.replace(NEEDS, console=False), console=False) == []


@pytest.mark.parametrize("version", [(14,), (14, 0), (15, 7, 9), (27, 0)])
def test_macos_14_and_later_will_do(version: tuple[int, ...]) -> None:
    assert wrong(macos=version) == []


def test_homebrew_can_be_missing_where_sudo_asks_for_no_password() -> None:
    assert wrong(brew=False, sudo=True) == []


def test_homebrews_installer_brings_the_command_line_tools_along() -> None:
    assert wrong(brew=False, sudo=True, command_line_tools=False) == []


# -- Memory and disk


def test_memory_that_just_suffices_will_do() -> None:
    assert wrong(memory=68 * GIB) == []
    assert wrong(memory=68 * GIB - 1) != []


def test_each_model_needs_memory_for_itself_as_one_is_loaded_at_a_time() -> None:
    other = Fetch("too big", {"x/1.gguf": 121 * GIB})
    found = wrong(needs=dataclasses.replace(NEEDS, models=[FETCH, other]))

    assert [line.partition(":")[0] for line in found] == ["memory for too big"]


def test_disk_that_just_suffices_will_do() -> None:
    assert wrong(disk_free=70 * GIB) == []
    assert wrong(disk_free=70 * GIB - 1) != []


def test_files_that_are_there_need_no_room() -> None:
    assert wrong(30 * GIB, disk_free=40 * GIB) == []
    assert wrong(30 * GIB, disk_free=40 * GIB - 1) != []


def test_a_host_that_has_everything_may_have_a_full_disk() -> None:
    assert wrong(0, disk_free=0) == []


def test_sizes_are_shown_for_people() -> None:
    assert gib(63_387_346_464) == "59.0 GiB"
    assert gib(12_582_912) == "12.0 MiB"
    assert gib(0) == "0.0 MiB"


def test_models_of_which_the_header_is_known_are_summed_up() -> None:
    big = Served("big", Use(8192, 1), {"m.gguf": 60 * GIB}, GPT_OSS_120B)
    needs = dataclasses.replace(NEEDS, together=[[big]])

    assert wrong(needs=needs) == []
    (found,) = wrong(needs=needs, memory=64 * GIB)
    assert found.startswith("memory for big: It does not fit: it takes 10.5 GiB more than its GPU")
    (found,) = wrong(needs=needs, wired_limit=60 * GIB)
    assert "of 60.0 GiB: iogpu.wired_limit_mb" in found
    (found,) = wrong(needs=needs, gpu_memory=61 * GIB)
    assert "of 61.0 GiB: llama-server --list-devices" in found


def test_other_models_must_leave_the_reserve_at_least() -> None:
    small = Served("small", Use(8192, 1), {"s.gguf": GIB}, GPT_OSS_120B)
    needs = dataclasses.replace(NEEDS, together=[[small]])

    (found,) = wrong(needs=needs, memory=64 * GIB)
    assert found.startswith("memory for big: 60.0 GiB of weights and 8.0 GiB in reserve")


# -- What becomes of what does not fit


def kinds(needs: Needs, **mac: Any) -> list[str]:
    there = dataclasses.replace(GOOD, **mac)
    return [problem.kind for problem in problems(there, needs, Room(0, 0), {})]


def needing(facts: Facts, size: int = 60 * GIB, **fields: Any) -> Needs:
    big = Served("big", Use(131072, 4), {"m.gguf": size}, facts)
    return dataclasses.replace(NEEDS, models=[], together=[[big]], **fields)


def test_what_is_only_estimated_warns_unless_weights_alone_do_not_fit() -> None:
    unknown = GPT_OSS_120B.model_copy(update={"architecture": "brand-new"})
    partly = GPT_OSS_120B.model_copy(update={"complete": False})
    too_little = Facts(architecture="brand-new", block_count=4)

    assert kinds(needing(GPT_OSS_120B), gpu_memory=64 * GIB) == ["fit"]
    for facts in (unknown, partly, too_little):
        assert kinds(needing(facts), gpu_memory=64 * GIB) == [WARNING]
        assert kinds(needing(facts), gpu_memory=60 * GIB) == ["fit"]
        assert kinds(needing(facts), gpu_memory=64 * GIB, memory=67 * GIB) == ["fit"]


def test_a_host_may_have_it_warn_or_not_look() -> None:
    lacking = dataclasses.replace(needing(GPT_OSS_120B), models=[Fetch("other", {"x": 900 * GIB})])

    small = {"gpu_memory": 64 * GIB}

    assert kinds(lacking, **small) == ["fit", "fit"]
    assert kinds(dataclasses.replace(lacking, fit="warn"), **small) == [WARNING, WARNING]
    assert kinds(dataclasses.replace(lacking, fit="off"), **small) == []
